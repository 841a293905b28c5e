"""A loop told for people: a table for the terminal, and a page with the worth of what was live, the estimates, each gate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.evaluate.charts import Tick, figure, scale
from headrace.flywheel.loop import Cycle

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FLOOR = 620, 240, 56, 600, 14, 206
_SIGN = {"passed": "passed", "blocked": "BLOCKED", "no_evidence": "no evidence"}


@dataclass(frozen=True)
class Point:
    """lo_y, hi_y: ends of the interval, the point's own y where there is none."""

    x: float
    y: float
    lo_y: float
    hi_y: float
    text: str


@dataclass(frozen=True)
class Line:
    """name: also its colour's. points in order; path joins them."""

    name: str
    label: str
    points: list[Point]

    @property
    def path(self) -> str:
        return " ".join(f"{'M' if not at else 'L'}{point.x:g} {point.y:g}" for at, point in enumerate(self.points))


@dataclass(frozen=True)
class Chart:
    title: str
    says: str
    lines: list[Line]
    ticks: list[Tick]
    cycles: list[Tick]


Series = Mapping[int, tuple[float, float, float]]
"""cycle -> value, lo, hi."""


def chart(title: str, says: str, series: Mapping[str, tuple[str, Series]]) -> Chart | None:
    """series: name -> (label, figures). None where there is nothing to draw."""
    ends = [end for _, points in series.values() for triple in points.values() for end in triple if math.isfinite(end)]
    numbers = sorted({cycle for _, points in series.values() for cycle in points})
    if not ends:
        return None
    levels = scale(min(ends), max(ends))

    def down(value: float) -> float:
        return round(FLOOR - (FLOOR - TOP) * (value - levels[0]) / (levels[-1] - levels[0]), 2)

    def across(cycle: int) -> float:
        return round(LEFT + 24 + (RIGHT - LEFT - 48) * (numbers.index(cycle) / max(len(numbers) - 1, 1)), 2)

    def point(cycle: int, value: float, lo: float, hi: float) -> Point:
        lo, hi = (end if math.isfinite(end) else value for end in (lo, hi))
        return Point(across(cycle), down(value), down(lo), down(hi), f"generation {cycle}: {figure(value)}")

    lines = [
        Line(name, label, [point(cycle, *points[cycle]) for cycle in sorted(points) if math.isfinite(points[cycle][0])])
        for name, (label, points) in series.items()
    ]
    ticks = [Tick(down(level), f"{level:.10g}") for level in levels]
    return Chart(title, says, [line for line in lines if line.points], ticks, [Tick(across(n), str(n)) for n in numbers])


def charts(cycles: Sequence[Cycle]) -> list[Chart]:
    def known(values: Mapping[int, float | None]) -> Series:
        return {cycle: (value, math.nan, math.nan) for cycle, value in values.items() if value is not None}

    after = {one.number: one.worth if one.promoted else one.live_worth for one in cycles}
    offered = {one.number: one.worth for one in cycles if not one.promoted}
    lead = {one.number: one.worth - one.live_worth for one in cycles if one.worth is not None and one.live_worth is not None}
    estimates = _intervals({one.number: one.estimate for one in cycles}, ("value", "lo", "hi"))
    offline = _intervals({one.number: one.offline for one in cycles}, ("diff", "diff_lo", "diff_hi"))
    made = [
        chart(
            "True utility a request",
            "What the world knows and no generation does, on the requests of one day for both.",
            {"live": ("live after the gates", known(after)), "held": ("built and not promoted", known(offered))},
        ),
        chart(
            "Lead over the live generation, estimated off-policy",
            "Outcomes a page, from the pages the live one logged; the interval is 95%.",
            {"estimate": ("estimate", estimates)},
        ),
        chart("True lead over the live generation", "In utility a request.", {"truth": ("truth", known(lead))}),
        chart(
            "Difference on the log",
            "The first metric on held-out requests; the interval is 95%.",
            {"offline": ("candidate - live", offline)},
        ),
    ]
    return [one for one in made if one is not None]


def html(cycles: Sequence[Cycle], title: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("headrace.flywheel", package_path="")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    size = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "floor": FLOOR}
    return environment.get_template("flywheel.html.jinja").render(
        title=title, cycles=cycles, charts=charts(cycles), gates=_gates(cycles), signs=_SIGN, size=size, figure=figure
    )


def text(cycles: Sequence[Cycle]) -> str:
    """One line a generation, then what every gate that did not pass saw."""
    lines = [f"{'generation':<12}{'against':<9}{'true utility':<14}{'live then':<11}{'verdict'}"]
    for one in cycles:
        against = str(one.live) if one.live else "-"
        lines.append(f"{one.generation:<12}{against:<9}{figure(one.worth):<14}{figure(one.live_worth):<11}{one.says}")
        for name, seen in one.decisions.items():
            if seen["status"] != "passed":
                lines.append(f"    {name}: {_SIGN[seen['status']]}. {seen['reason']}")
    return "\n".join(lines)


def _intervals(rows: Mapping[int, Mapping[str, Any] | None], names: tuple[str, str, str]) -> Series:
    found = {}
    for cycle, row in rows.items():
        if row is not None and row.get(names[0]) is not None:
            value, lo, hi = (math.nan if row[name] is None else float(row[name]) for name in names)
            found[cycle] = (value, lo, hi)
    return found


def _gates(cycles: Sequence[Cycle]) -> list[str]:
    return list(dict.fromkeys(name for one in cycles for name in one.decisions))
