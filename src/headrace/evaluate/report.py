"""Results for three readers: JSON for programs, a table for the terminal, one page for people."""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.evaluate.charts import Reliability, figure, panels, squares
from headrace.evaluate.rows import SIGNIFICANT, Row, in_order

FOOTNOTE = f"* differs at Holm-adjusted p < {SIGNIFICANT:g}, paired bootstrap over users"


def write_json(path: Path, rows: Sequence[Row], facts: Mapping[str, Any]) -> None:
    """{"facts": …, "rows": […]}: whole or not at all, because a reader may open it at any moment."""
    text = json.dumps({"facts": _plain(facts), "rows": [row.as_dict() for row in rows]}, indent=1, allow_nan=False, default=str)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text + "\n")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def text_table(rows: Sequence[Row], title: str, versus: Sequence[str] | None = None) -> str:
    """A block for each stage, split and slice. versus: the metrics shown against each baseline, the last one by default."""
    parts = _parts(rows)
    blocks = [_block(part, title if len(parts) == 1 else f"{title}, {label}", versus) for label, part in parts]
    return "\n\n".join(blocks) + f"\n{FOOTNOTE}"


def versus_in_words(row: Row) -> str:
    """A row's difference to its baseline, with its interval and what the test allows to say."""
    words = {"same": "not told apart", "better": "better", "worse": "worse", "differs": "differs", "baseline": "the baseline"}
    return f"{_difference(row)}: {words[row.verdict]}"


def html_report(
    rows: Sequence[Row],
    facts: Mapping[str, Any],
    *,
    title: str = "Evaluation",
    answer: Sequence[Mapping[str, Any]] = (),
    recall_lost: Sequence[tuple[str, int, float]] = (),
    curves: Sequence[Reliability] = (),
) -> str:
    """One page that needs nothing but itself, light or dark as its reader's system is.

    facts: name -> value, or name -> {name: value} for a group of its own. answer: dicts of position, title, reasons (list of
    strings) and propensity. recall_lost: (stage, k, recall) from the first stage to the page.
    curves: of methods whose scores are probabilities.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("headrace.evaluate", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = figure
    facts = _plain(facts)
    groups = {name: value for name, value in facts.items() if isinstance(value, Mapping)}
    of_stage = {stage: [row for row in rows if row.stage == stage] for stage in in_order(row.stage for row in rows)}
    stages = [
        (stage, [(label, part, panels(part)) for label, part in _parts(stage_rows)]) for stage, stage_rows in of_stage.items()
    ]
    return environment.get_template("report.html.jinja").render(
        title=title,
        tiles={name: value for name, value in facts.items() if name not in groups},
        groups=groups,
        stages=stages,
        answer=answer,
        recall_lost=recall_lost,
        squares=squares(curves),
        footnote=FOOTNOTE.removeprefix("* "),
    )


def _parts(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each stage, split and slice, under a name that says what sets them apart."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.stage, row.split, row.slice), []).append(row)
    several = [len({key[at] for key in found}) > 1 for at in range(2)]
    return [
        (", ".join([*([stage] if several[0] else []), *([split] if several[1] else []), part]), part_rows)
        for (stage, split, part), part_rows in found.items()
    ]


def _block(rows: Sequence[Row], title: str, versus: Sequence[str] | None) -> str:
    metrics, methods = in_order(row.metric for row in rows), in_order(row.method for row in rows)
    figures = {(row.method, row.metric): row for row in rows}
    compared = {(row.method, row.metric, row.baseline): row for row in rows if row.baseline is not None}
    asked = [metric for metric in (metrics[-1:] if versus is None else versus) if metric in metrics]
    pairs = [(metric, baseline) for metric in asked for baseline in in_order(name for _, _, name in compared)]
    lines = [["method", *metrics, *(f"vs {baseline} ({metric})" for metric, baseline in pairs)]]
    for method in methods:
        cells = [_value(figures.get((method, metric))) for metric in metrics]
        lines.append([method, *cells, *(_difference(compared.get((method, metric, baseline))) for metric, baseline in pairs)])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    counts = sorted({row.n for row in rows})
    fewest, most = f"{counts[0]:,}", f"{counts[-1]:,}"
    opening = f"{title}, n = {most if fewest == most else f'{fewest} to {most}'} users"
    return "\n".join([opening, *("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)])


def _value(row: Row | None) -> str:
    return "" if row is None else f"{figure(row.value)} [{figure(row.lo)}, {figure(row.hi)}]"


def _difference(row: Row | None) -> str:
    if row is None or row.diff is None:
        return ""
    span = f"[{figure(row.diff_lo, sign=True)}, {figure(row.diff_hi, sign=True)}]"
    return f"{figure(row.diff, sign=True)} {span}{' *' if row.differs else ''}"


def _plain(value: Any) -> Any:
    """What JSON can hold: numpy numbers as Python's, NaN as null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_plain(inner) for inner in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
