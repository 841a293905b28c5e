"""What a reproduction found: every arm's figures with intervals, the claim's difference and verdict, as JSON and text."""

import json
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from headrace.artifacts.atomic import place
from headrace.contracts.errors import DataError
from headrace.recipes.claims import Claim, Interval, Tested, Verdict


@dataclass(frozen=True)
class ArmFigure:
    """One arm's metric on one protocol over all seeds and units; by_seed: its mean for each seed. settings: after tuning."""

    protocol: str
    arm: str
    metric: str
    value: float
    lo: float
    hi: float
    n: int
    by_seed: list[float]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """budget: smoke, cpu or full. difference: by how much the claim's better arm leads; further: on the other protocols.

    claims: what else the recipe says, each with its own verdict. unit: what n counts. seconds: of all cells, tuning apart.
    """

    name: str
    budget: str
    claim: Claim
    arms: list[ArmFigure]
    difference: Interval
    further: dict[str, Interval]
    verdict: Verdict
    seeds: int
    protocols: dict[str, str]
    data: str
    data_hash: str
    date: str
    command: str
    seconds: float
    claims: list[Tested] = field(default_factory=list)
    unit: str = "users"

    def write(self, folder: Path) -> Path:
        """results/NAME.json; whole or not at all."""
        path = folder / f"{self.name}.json"
        place(path, json.dumps(asdict(self), indent=1) + "\n")
        return path


def read_report(path: Path) -> Report:
    try:
        values = json.loads(path.read_text())
        return Report(**{
            **values,
            "claim": Claim(**values["claim"]),
            "arms": [ArmFigure(**arm) for arm in values["arms"]],
            "difference": Interval(**values["difference"]),
            "further": {name: Interval(**one) for name, one in values["further"].items()},
            "claims": [
                Tested(Claim(**one["claim"]), Interval(**one["difference"]), one["verdict"]) for one in values.get("claims", [])
            ],
        })  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a reproduction's result ({error}). Run it again: headrace reproduce {path.stem}.") from None


def text(report: Report) -> str:
    """The table a reader looks at first, best arm first on each protocol, then the claim and its verdict."""
    lines = [f"{report.name}: {report.claim.says}", f"  published: {report.claim.published}"]
    for protocol, says in report.protocols.items():
        rows = [arm for arm in report.arms if arm.protocol == protocol]
        metrics = list(dict.fromkeys(arm.metric for arm in rows))
        lines += ["", f"{protocol}, n = {rows[0].n} {report.unit}, {report.seeds} seeds. {says}"]
        widths = {metric: max(24, len(metric) + 2) for metric in metrics}
        name = max(16, *(len(arm.arm) + 2 for arm in rows))
        lines.append(f"  {'arm':<{name}}" + "".join(f"{metric:<{width}}" for metric, width in widths.items()))
        by_arm = {arm: {row.metric: row for row in rows if row.arm == arm} for arm in dict.fromkeys(row.arm for row in rows)}
        first = report.claim.metric if report.claim.metric in metrics else metrics[0]
        for arm, found in sorted(by_arm.items(), key=lambda pair: -pair[1][first].value if first in pair[1] else inf):
            figures = {m: f"{one.value:.3f} [{one.lo:.3f}, {one.hi:.3f}]" for m, one in found.items()}
            lines.append(f"  {arm:<{name}}" + "".join(f"{figures.get(m, ''):<{width}}" for m, width in widths.items()))
    claim = report.claim
    lines += ["", f"{lead(claim)}, {claim.protocol}: {signed(report.difference)}; margin {claim.margin:g}"]
    lines += [f"{lead(claim)}, {name}: {signed(one)}" for name, one in report.further.items()]
    lines.append(f"verdict: {report.verdict} ({report.budget} budget, {report.seeds} seeds, {report.date})")
    for one in report.claims:
        also = one.claim
        lines += ["", also.says, f"{lead(also)}, {also.protocol}: {signed(one.difference)}; margin {also.margin:g}"]
        lines.append(f"verdict: {one.verdict}")
    return "\n".join(lines)


def lead(claim: Claim) -> str:
    """What the difference is of, in words."""
    first, second = (claim.than, claim.better) if claim.less else (claim.better, claim.than)
    return f"{first} - {second}, {claim.metric}"


def signed(interval: Interval) -> str:
    return f"{interval.value:+.3f} [{interval.lo:+.3f}, {interval.hi:+.3f}]"
