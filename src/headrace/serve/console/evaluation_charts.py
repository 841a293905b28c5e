"""Figures drawn with their intervals: of methods, of slices, of two generations; and predicted chances against what came."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.evaluate.charts import Reliability
from headrace.evaluate.rows import Row
from headrace.serve.console.charts import Spec, toned
from headrace.serve.console.evaluated import Beside, first_of_each

_TOLD = {"better": "better", "worse": "worse", "differs": "differs", "same": "not told apart", "baseline": "the baseline"}
_TONES = {"better": "better", "worse": "worse", "differs": "sand", "not told apart": "same", "the baseline": "base"}
COLUMNS = {"value": "value", "lo": "from", "hi": "to", "n": "users"}


def of_methods(rows: Sequence[Row]) -> Spec:
    """rows: of one stage, slice and metric. Colour is what the test against the first baseline allows to say."""
    values = [{"method": row.method, **_ends(row), "against the baseline": _TOLD[row.verdict]} for row in _once(rows)]
    return _intervals(values, "method", "against the baseline", tones=_TONES)


def of_slices(rows: Sequence[Row]) -> Spec:
    """rows: of one stage and metric."""
    values = [{"slice": row.slice, "method": row.method, **_ends(row)} for row in _once(rows)]
    return _intervals(values, "slice", "method", apart=True)


def of_two(pairs: Sequence[Beside], names: tuple[str, str]) -> Spec:
    """pairs: of one stage, slice and metric."""
    values = [
        {"method": row.method, "generation": name, **_ends(row)}
        for one in pairs
        for name, row in zip(names, (one.this, one.other), strict=True)
    ]
    return _intervals(values, "method", "generation", apart=True)


def of_differences(pairs: Sequence[Beside]) -> Spec:
    """pairs: of one stage, slice and metric; right of the line is more."""
    says = {1: "better", -1: "worse", 0: "not told apart"}
    values = [
        {
            "method": one.this.method, **_finite({"change": one.change, "lo": one.lo, "hi": one.hi}),
            "says": "differs" if one.apart and not one.better else says[one.better],
        }
        for one in pairs
    ]  # fmt: skip
    place = {"field": "method", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150}}
    change = {"field": "change", "type": "quantitative", "title": "difference"}
    tone = toned(values, "says", {"better": "better", "not told apart": "same", "worse": "worse", "differs": "sand"})
    return {
        "data": {"values": values}, "height": {"step": 28},
        "layer": [
            {"data": {"values": [{"change": 0}]}, "mark": {"type": "rule", "strokeDash": [3, 4]}, "encoding": {"x": change}},
            {"mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.4},
             "encoding": {"y": place, "x": {**change, "field": "lo"}, "x2": {"field": "hi"}, "color": tone}},
            {"mark": {"type": "point", "tooltip": True, "opacity": 1}, "encoding": {"y": place, "x": change, "color": tone}},
        ],
    }  # fmt: skip


def of_turns(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """rows: a candidate each: generation, change, lo, hi, became."""
    across = {"field": "generation", "type": "ordinal", "title": "generation", "axis": {"labelAngle": 0}}
    up = {"field": "change", "type": "quantitative", "title": "difference to the live one"}
    tone = toned(rows, "became", {"promoted": "better", "held back": "worse", "drill": "same"})
    return {
        "data": {"values": list(rows)}, "height": 180,
        "layer": [
            {"data": {"values": [{"change": 0}]}, "mark": {"type": "rule", "strokeDash": [3, 4]}, "encoding": {"y": up}},
            {"mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.4},
             "encoding": {"x": across, "y": {**up, "field": "lo"}, "y2": {"field": "hi"}, "color": tone}},
            {"mark": {"type": "point", "tooltip": True, "opacity": 1},
             "encoding": {"x": across, "y": up, "color": tone}},
        ],
    }  # fmt: skip


def of_calibration(curves: Sequence[Reliability]) -> Spec:
    """Bins of equal mass, a line a method; right chances lie on the diagonal."""
    values = [
        {"method": one.method, "predicted": p, "observed": y, "rows": n}
        for one in curves
        for p, y, n in zip(one.predicted, one.observed, one.rows, strict=True)
    ]
    most = max((end for one in curves for end in (*one.predicted, *one.observed)), default=1.0)
    across = {"field": "predicted", "type": "quantitative", "title": "predicted", "scale": {"domain": [0, most]}}
    up = {"field": "observed", "type": "quantitative", "title": "observed", "scale": {"domain": [0, most]}}
    diagonal = {"values": [{"predicted": 0, "observed": 0}, {"predicted": most, "observed": most}]}
    return {
        "data": {"values": values}, "height": 260,
        "layer": [
            {"data": diagonal, "mark": {"type": "line", "strokeWidth": 1, "strokeDash": [3, 4], "opacity": 0.6},
             "encoding": {"x": across, "y": up}},
            {"mark": {"type": "line", "point": True, "tooltip": True},
             "encoding": {"x": across, "y": up, "color": {"field": "method", "type": "nominal"}}},
        ],
    }  # fmt: skip


def _once(rows: Sequence[Row]) -> list[Row]:
    return list(first_of_each(rows).values())


def _ends(row: Row) -> dict[str, Any]:
    return {**_finite({"value": row.value, "lo": row.lo, "hi": row.hi}), "n": row.n}


def _finite(found: Mapping[str, float]) -> dict[str, Any]:
    """JSON has no NaN: null there."""
    return {name: round(value, 6) if math.isfinite(value) else None for name, value in found.items()}


def _intervals(
    values: Sequence[Mapping[str, Any]], down: str, colour: str, *, apart: bool = False, tones: Mapping[str, str] | None = None
) -> Spec:
    """apart: lines of one place lie under each other, one a colour."""
    place: dict[str, Any] = {"y": {"field": down, "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150}}}
    if apart:
        place["yOffset"] = {"field": colour, "type": "nominal", "sort": None}
    tone = {"color": toned(values, colour, tones) if tones else {"field": colour, "type": "nominal", "sort": None}}
    value = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    reach = {"x": {**value, "field": "lo"}, "x2": {"field": "hi"}}
    return {
        "data": {"values": values}, "height": {"step": 16 if apart else 28}, "encoding": {**place, **tone},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.4}, "encoding": reach},
            {"mark": {"type": "point", "tooltip": True, "opacity": 1}, "encoding": {"x": value}},
        ],
    }  # fmt: skip
