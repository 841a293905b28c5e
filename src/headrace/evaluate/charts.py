"""Where the marks of a chart stand. The template draws them; this file knows no markup.

One panel a metric: a line for each method with its value, and whiskers for the 95% interval, on a scale that starts at 0
unless all values are far from it. Of probabilities one panel a method: what was predicted against what came of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.evaluate.pointwise import Numbers, equal_mass_bins
from headrace.evaluate.rows import Row, in_order

WIDTH, TOP, PITCH, BOTTOM = 560, 10, 34, 26
_LETTER, _VALUE = 7.2, 64


@dataclass(frozen=True)
class Mark:
    """One method's line, in the panel's own units."""

    row: Row
    y: float
    x: float
    lo_x: float
    hi_x: float
    text: str


@dataclass(frozen=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True)
class Panel:
    metric: str
    width: int
    height: int
    left: float
    right: float
    floor: float
    marks: list[Mark]
    ticks: list[Tick]
    baseline_x: float | None


SQUARE, _EDGE = 300, 36


@dataclass(frozen=True)
class Reliability:
    """Of bins of equal mass, from the lowest: the mean of what was predicted, of what came, and the rows."""

    method: str
    predicted: list[float]
    observed: list[float]
    rows: list[int]


@dataclass(frozen=True)
class Square:
    """A reliability curve's marks, x and y each, in a square of SQUARE; right predictions lie on its diagonal."""

    method: str
    size: int
    left: float
    floor: float
    marks: list[tuple[float, float, str]]
    ticks: list[Tick]


def reliability(method: str, labels: Numbers, predictions: Numbers, bins: int = 20) -> Reliability:
    """Equal predictions share a bin; where there are fewer rows than bins, each row has one."""
    p, y = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    if not len(p):
        return Reliability(method, [], [], [])
    _, bin_, rows = np.unique(equal_mass_bins(p, bins), return_inverse=True, return_counts=True)
    predicted, observed = ((np.bincount(bin_, values) / rows).tolist() for values in (p, y))
    return Reliability(method, predicted, observed, rows.tolist())


def square(curve: Reliability, most: float) -> Square:
    """most: the largest value on any curve beside it, so that they can be compared."""
    ticks = scale(0.0, max(most, 1e-6))
    room = SQUARE - 2 * _EDGE

    def place(value: float) -> float:
        return round(_EDGE + room * value / ticks[-1], 2)

    marks = [
        (place(p), SQUARE - place(y), f"{figure(p)} predicted, {figure(y)} observed, {n:,} rows")
        for p, y, n in zip(curve.predicted, curve.observed, curve.rows, strict=True)
    ]
    return Square(curve.method, SQUARE, _EDGE, SQUARE - _EDGE, marks, [Tick(place(value), f"{value:.10g}") for value in ticks])


def squares(curves: Sequence[Reliability]) -> list[Square]:
    most = max((value for curve in curves for value in (*curve.predicted, *curve.observed)), default=1.0)
    return [square(curve, most) for curve in curves]


def panels(rows: Sequence[Row]) -> list[Panel]:
    """rows of one stage, split and slice. A method's mark tells of its first row: the test against the first baseline."""
    first = {(row.metric, row.method): row for row in reversed(rows)}
    methods = in_order(row.method for row in rows)
    return [
        _panel(metric, [first[metric, method] for method in methods if (metric, method) in first])
        for metric in in_order(row.metric for row in rows)
    ]


def _panel(metric: str, rows: list[Row]) -> Panel:
    ends = [end for row in rows for end in (row.lo, row.value, row.hi) if math.isfinite(end)]
    ticks = scale(min(ends, default=0.0), max(ends, default=1.0))
    left = min(210.0, 14 + _LETTER * max(len(row.method) for row in rows))
    right = float(WIDTH - _VALUE)

    def place(value: float) -> float:
        return round(left + (right - left) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)

    marks = [
        Mark(
            row,
            TOP + PITCH * (at + 0.5),
            place(row.value),
            place(row.lo if math.isfinite(row.lo) else row.value),
            place(row.hi if math.isfinite(row.hi) else row.value),
            figure(row.value),
        )
        for at, row in enumerate(rows)
    ]
    floor = TOP + PITCH * len(rows)
    base = next((mark.x for mark in marks if mark.row.verdict == "baseline"), None)
    labels = [Tick(place(value), f"{value:.10g}") for value in ticks]
    return Panel(metric, WIDTH, floor + BOTTOM, left, right, floor, marks, labels, base)


def scale(low: float, high: float) -> list[float]:
    """Round numbers that hold low and high, about five of them."""
    if 0 <= low < 0.6 * high:
        low = 0.0
    if high - low < 1e-9:
        low, high = low - 0.01, high + 0.01
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * size for size in (1, 2, 2.5, 5, 10) if power * size >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def figure(value: float | None, sign: bool = False) -> str:
    """Three decimals, or five where three would show too little; a dash for none."""
    if value is None or not math.isfinite(value):
        return "-"
    value = 0.0 if abs(value) < 5e-6 else value
    decimals = 3 if abs(value) >= 0.001 or value == 0 else 5
    return f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
