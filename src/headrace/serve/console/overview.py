"""How the server fares: traffic, errors, latency by stage, health, and the generation that answers.

Counters say what was since the server started; what was when is in `over_time`.
"""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Response

from headrace.serve.api.health import against
from headrace.serve.console import over_time
from headrace.serve.console.charts import Spec
from headrace.serve.console.over_time import OverTime
from headrace.serve.console.readings import Readings, read
from headrace.serve.console.view import Link, View
from headrace.serve.workers.seen import seen

LINK = Link("", "Overview")


def routes(view: View) -> APIRouter:
    time_line, started = OverTime(), time.monotonic()

    def look() -> Readings:
        serving = view.serving
        readings, number = read(serving.metrics.registry), serving.live.number
        generation = f"generation {number}" if number else f"build {serving.service.generation[:8]}"
        time_line.look(readings, time.time(), generation=generation, ready=not against(serving))
        return readings

    @asynccontextmanager
    async def watched(_: object) -> AsyncIterator[None]:
        async with time_line.kept_up(look):
            yield

    router = APIRouter(lifespan=watched)

    def show(template: str, *, still: bool) -> Response:
        serving, readings, found = view.serving, look(), time_line.between
        return view.page(
            template, here=LINK, still=still, readings=readings, up_s=time.monotonic() - started, by_stage=latency(readings),
            traffic=over_time.traffic(found), lately=over_time.latency(found), served=over_time.served(found), now=time_line.now,
            reasons=against(serving), generations=serving.live.all(), workers=seen(serving.service.root),
        )  # fmt: skip

    @router.get(LINK.url)
    def overview(still: bool = False) -> Response:
        return show("overview.html.jinja", still=still)

    @router.get(LINK.url + "/overview/figures")
    def figures() -> Response:
        return show("overview_figures.html.jinja", still=False)

    return router


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
