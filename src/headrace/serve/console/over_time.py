"""How a server fared over the last half hour: traffic, errors, latency, health and the generation that answered.

    looks      counters every five seconds, the last 360, whether or not somebody watches
    between    (counters now - counters before) / seconds; a percentile is of the answers between two looks, off their histogram

Cost: a look reads the counters once, a millisecond or a few in a thread of its own. It is this process's memory of all processes:
after a restart it begins anew.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from headrace.serve.console.charts import Spec, toned
from headrace.serve.console.readings import Readings, quantile

log = logging.getLogger(__name__)
EVERY_S, _LOOKS = 5.0, 360


@dataclass(frozen=True)
class Look:
    """at_s: since 1970. answers, refused, failed: since the start. bounds, up_to: of the whole answer's histogram."""

    at_s: float
    answers: int
    refused: int
    failed: int
    bounds: Sequence[float]
    up_to: Sequence[float]
    generation: str
    ready: bool


@dataclass(frozen=True)
class Between:
    """Two looks. Rates are a second; percentiles NaN where there was no answer, or beyond the last bound."""

    since_s: float
    at_s: float
    answers: float
    refused: float
    failed: float
    p50_ms: float
    p99_ms: float
    generation: str
    ready: bool


class OverTime:
    def __init__(self) -> None:
        self._looks: deque[Look] = deque(maxlen=_LOOKS)

    def look(self, readings: Readings, at_s: float, *, generation: str, ready: bool) -> None:
        """One that comes too soon after another is left out."""
        if self._looks and at_s - self._looks[-1].at_s < EVERY_S * 0.6:
            return
        whole = readings.whole
        refused, failed = (sum(getattr(one, fate) for one in readings.routes) for fate in ("client", "server"))
        bounds, up_to = ((), ()) if whole is None else (whole.bounds, whole.up_to)
        self._looks.append(Look(at_s, whole.answers if whole else 0, refused, failed, bounds, up_to, generation, ready))

    @property
    def between(self) -> list[Between]:
        return [_between(before, after) for before, after in pairwise(list(self._looks))]

    @property
    def now(self) -> float | None:
        """Answers a second; None before the second look."""
        found = self.between
        return found[-1].answers if found else None

    @asynccontextmanager
    async def kept_up(self, look: Callable[[], object]) -> AsyncIterator[None]:
        """As long as the block lasts."""

        async def watch() -> None:
            while True:
                try:
                    await asyncio.to_thread(look)
                except Exception:
                    log.exception("The console could not look at the counters")
                await asyncio.sleep(EVERY_S)

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


def traffic(found: Sequence[Between]) -> Spec | None:
    """Three lines. None before there are three looks."""
    kinds = {"answers": "answered", "refused": "refused (4xx)", "failed": "failed (5xx)"}
    rows = [
        {"at": _utc(one.at_s), "what": what, "rate": round(getattr(one, name), 2)}
        for one in found
        for name, what in kinds.items()
    ]
    return (
        _lines(rows, "rate", "a second", "what", {"answered": "water", "refused (4xx)": "sand", "failed (5xx)": "worse"})
        if len(found) > 1
        else None
    )


def latency(found: Sequence[Between]) -> Spec | None:
    """Of the whole answer. None while there is nothing to draw."""
    rows = [
        {"at": _utc(one.at_s), "percentile": name, "ms": None if math.isnan(value) else round(value, 3)}
        for one in found
        for name, value in (("p50", one.p50_ms), ("p99", one.p99_ms))
    ]
    if len(found) < 2 or not any(row["ms"] is not None for row in rows):
        return None
    lines = _lines(rows, "ms", "milliseconds", "percentile", {"p50": "water", "p99": "sand"})
    of_points = {name: lines["encoding"][name] for name in ("x", "y")} | {"color": {**lines["encoding"]["color"], "legend": None}}
    return {
        "data": lines["data"], "height": lines["height"],
        "layer": [
            {"mark": lines["mark"], "encoding": lines["encoding"]},
            {"mark": {"type": "point", "size": 14}, "encoding": of_points},  # a moment between idle ones has no line to lie on
        ],
        "resolve": {"legend": {"color": "independent", "strokeDash": "independent"}},
    }  # fmt: skip


def served(found: Sequence[Between]) -> Spec | None:
    """Which generation answered, from when to when, and whether the server was ready."""
    rows: list[dict[str, Any]] = []
    for one in found:
        health = "ready" if one.ready else "not ready"
        if rows and (rows[-1]["generation"], rows[-1]["health"]) == (one.generation, health):
            rows[-1]["to"] = _utc(one.at_s)
        else:
            rows.append({"generation": one.generation, "health": health, "from": _utc(one.since_s), "to": _utc(one.at_s)})
    if not rows:
        return None
    generation = {
        "field": "generation",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": 120, "grid": False},
    }
    return {
        "data": {"values": rows}, "height": {"step": 30}, "mark": {"type": "bar", "tooltip": True, "height": 14},
        "encoding": {
            "y": generation, "x": {**_AT, "field": "from"}, "x2": {"field": "to"},
            "color": toned(rows, "health", {"ready": "better", "not ready": "worse"}),
        },
    }  # fmt: skip


_AXIS = {"format": "%H:%M:%S", "tickCount": 5, "labelOverlap": True}
_AT: Spec = {"field": "at", "type": "temporal", "title": None, "scale": {"type": "utc"}, "axis": _AXIS}


def _lines(rows: list[dict[str, Any]], field: str, title: str, by: str, tones: Mapping[str, str]) -> Spec:
    up = {"field": field, "type": "quantitative", "title": title, "scale": {"zero": True}, "axis": {"tickCount": 5}}
    tone, dash = toned(rows, by, tones), {"field": by, "type": "nominal", "scale": {"domain": list(tones)}}
    return {
        "data": {"values": rows}, "height": 160, "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {"x": _AT, "y": up, "color": tone, "strokeDash": dash},
    }  # fmt: skip


def _between(before: Look, after: Look) -> Between:
    """Counters that were set back (another process, say) are a beginning."""
    took_s = after.at_s - before.at_s
    answers, refused, failed = (
        max(getattr(after, name) - getattr(before, name), 0) / took_s for name in ("answers", "refused", "failed")
    )
    same = len(before.up_to) == len(after.up_to)
    grown = [max(now - then, 0.0) for now, then in zip(after.up_to, before.up_to, strict=True)] if same else list(after.up_to)
    p50, p99 = (1000 * quantile(after.bounds, grown, share) for share in (0.5, 0.99))
    return Between(before.at_s, after.at_s, answers, refused, failed, p50, p99, after.generation, after.ready)


def _utc(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
