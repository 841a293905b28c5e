"""The tables of docs/offpolicy.md from the newest results. With --check, says whether they are stale and changes nothing.

python -m benchmarks.ope.page [--check]
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import FOLDER

PAGE = Path(__file__).resolve().parents[2] / "docs" / "offpolicy.md"


def newest(part: str) -> dict[str, Any]:
    """The result with its figures; by date, which the file's name holds."""
    result: dict[str, Any] = json.loads(max(FOLDER.glob(f"offpolicy-{part}-2*.json")).read_text())
    return result


def coverage() -> str:
    figures = newest("coverage")["figures"]
    parts: list[str] = []
    for name in dict.fromkeys(row["problem"] for row in figures["table"]):
        rows = [row for row in figures["table"] if row["problem"] == name]
        opening = f"**{name}**: {rows[0]['says']}; {rows[0]['rows']:,} rows a log, truth {rows[0]['truth']:.4f}."
        lines = [[
            row["estimator"], f"{row['bias']:+.4f} ± {1.96 * row['bias_error']:.4f}", f"{row['rmse']:.4f}",
            f"{row['normal']:.1%}",
            f"{row['bootstrap']:.1%}", "" if row["bernstein"] is None else f"{row['bernstein']:.1%}",
            "" if row["ess"] is None else f"{row['ess']:,}", f"{row['refused']:.0%}",
        ] for row in rows]  # fmt: skip
        head = ["estimator", "bias ± 95%", "RMSE", "normal", "bootstrap", "bound holds", "mean ESS", "refused"]
        parts += [opening, "", *_table(head, lines), ""]
    return "\n".join([f"{figures['runs']} logs of each problem, {figures['resamples']} resamples.", "", *parts]).rstrip()


def open_bandit() -> str:
    figures = newest("open-bandit")["figures"]
    lines = []
    for row in figures["table"]:
        apart = (
            f"{_percent(row['difference'], '+')} [{_percent(row['difference_lo'], '+')}, {_percent(row['difference_hi'], '+')}]"
        )
        lines.append([
            row["campaign"], row["direction"], row["estimator"], _span(row, ""), _span(row, "own "), apart, f"{row['ess']:,}",
            f"{row['max_weight']:,}", "no evidence" if row["refused"] else "",
        ])  # fmt: skip
    head = [
        "campaign",
        "log -> target",
        "estimator",
        "estimate, %",
        "target's own mean, %",
        "difference",
        "ESS",
        "max weight",
        "",
    ]
    return "\n".join(_table(head, lines))


def obp() -> str:
    figures = newest("obp")["figures"]
    lines = [[name.split(",")[0], f"{value:.1e}"] for name, value in figures.items() if name.endswith("largest difference")]
    return "\n".join(_table(["estimator", f"largest difference from {figures['peer']}, {figures['seeds']} seeds"], lines))


def speed() -> str:
    result = newest("speed")
    figures = result["figures"]
    lines = [[name.removesuffix(", cpu_s"), f"{value:.2f} s"] for name, value in figures.items() if name.endswith("cpu_s")]
    lines.append(["peak memory of the whole process", f"{figures['peak memory, MiB']:,} MiB"])
    head = [f"{figures['rows']:,} pages of {figures['slots']} slots, {figures['users']:,} users", "CPU, one thread"]
    return "\n".join(_table(head, lines))


TABLES: dict[str, Callable[[], str]] = {"coverage": coverage, "open-bandit": open_bandit, "obp": obp, "speed": speed}


def made(page: str) -> str:
    """The page with what stands between each `<!-- NAME -->` and `<!-- /NAME -->` written anew."""
    for name, table in TABLES.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = table()
        page, times = between.subn(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
        assert times == 1, name
    return page


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)]


def _span(row: dict[str, Any], prefix: str) -> str:
    value, lo, hi = (_percent(row[f"{prefix}{name}"]) for name in ("value", "lo", "hi"))
    return f"{value} [{lo}, {hi}]"


def _percent(value: float, sign: str = "") -> str:
    return f"{100 * value:{sign}.2f}"


def main() -> None:
    page = PAGE.read_text()
    if "--check" not in sys.argv:
        PAGE.write_text(made(page))
    elif made(page) != page:
        raise SystemExit("docs/offpolicy.md is not what the results say. Run: python -m benchmarks.ope.page")


if __name__ == "__main__":
    main()
