"""How the server fares: traffic, errors, latency by stage, health, and the generation that answers.

Counters say what was since the server started. Rates are between two looks at them, so they begin when the page is opened.
"""

import math
import time
from collections import deque
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, Response

from headrace.serve.api.health import against
from headrace.serve.console.charts import Spec
from headrace.serve.console.readings import Readings, read
from headrace.serve.console.view import Link, View
from headrace.serve.workers.seen import seen

LINK = Link("", "Overview")
_LOOKS, _APART_S = 120, 2.0


def routes(view: View) -> APIRouter:
    router, pace, started = APIRouter(), Pace(), time.monotonic()

    def show(template: str, *, still: bool) -> Response:
        serving = view.serving
        readings = read(serving.metrics.registry)
        pace.look(readings, time.monotonic())
        return view.page(
            template, here=LINK, still=still, readings=readings, up_s=time.monotonic() - started, latency=latency(readings),
            traffic=pace.chart(), now=pace.now, reasons=against(serving), generations=serving.live.all(),
            workers=seen(serving.service.root),
        )  # fmt: skip

    @router.get(LINK.url)
    def overview(still: bool = False) -> Response:
        return show("overview.html.jinja", still=still)

    @router.get(LINK.url + "/overview/figures")
    def figures() -> Response:
        return show("overview_figures.html.jinja", still=False)

    return router


class Pace:
    """Answers a second between two looks."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque(maxlen=_LOOKS)

    def look(self, readings: Readings, at_s: float) -> None:
        if not self._looks or at_s - self._looks[-1][0] >= _APART_S:
            self._looks.append((at_s, readings.whole.answers if readings.whole else 0))

    @property
    def rates(self) -> list[tuple[float, float]]:
        """(when, answers a second until then)."""
        looks = list(self._looks)
        return [(at, (count - before) / (at - since)) for (since, before), (at, count) in pairwise(looks)]

    @property
    def now(self) -> float | None:
        rates = self.rates
        return rates[-1][1] if rates else None

    def chart(self) -> Spec | None:
        """None before there are three looks."""
        rates = self.rates
        if len(rates) < 2:
            return None
        rows = [{"ago_s": round(rates[-1][0] - at), "rate": round(rate, 2)} for at, rate in rates]
        across = {"field": "ago_s", "type": "quantitative", "title": "seconds ago", "scale": {"reverse": True}}
        up = {"field": "rate", "type": "quantitative", "title": "answers a second", "scale": {"zero": True}}
        return {"data": {"values": rows}, "height": 150, "mark": {"type": "line"}, "encoding": {"x": across, "y": up}}


def latency(readings: Readings) -> Spec | None:
    """A line a stage, from its median to its 99th percentile. None before the first answer."""
    rows: list[dict[str, Any]] = []
    for one in readings.stages:
        for name, value in (("p50", one.p50_ms), ("p95", one.p95_ms), ("p99", one.p99_ms)):
            rows.append({"stage": one.name, "percentile": name, "ms": None if math.isnan(value) else round(value, 3)})
    if not rows:
        return None
    stage = {"field": "stage", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 150}}
    ms = {"field": "ms", "type": "quantitative", "title": "milliseconds"}
    ends = {"x": {**ms, "aggregate": "min"}, "x2": {"field": "ms", "aggregate": "max"}}
    points = {"x": ms, "color": {"field": "percentile", "type": "nominal"}, "shape": {"field": "percentile", "type": "nominal"}}
    return {
        "data": {"values": rows}, "height": {"step": 28}, "encoding": {"y": stage},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.35}, "encoding": ends},
            {"mark": {"type": "point", "tooltip": True, "opacity": 1}, "encoding": points},
        ],
    }  # fmt: skip
