"""The server's counters as a page shows them: by route, by stage, by outcome. All since the server started.

A percentile is read off a histogram: it lies in the bucket that holds it, and inside a bucket answers are taken to lie evenly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Route:
    path: str
    well: int = 0
    client: int = 0
    server: int = 0

    @property
    def all(self) -> int:
        return self.well + self.client + self.server


@dataclass(frozen=True)
class Stage:
    """In milliseconds. A percentile beyond the last bound is NaN. bounds, up_to: of its histogram, in seconds."""

    name: str
    answers: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    bounds: Sequence[float] = ()
    up_to: Sequence[float] = ()


@dataclass(frozen=True)
class Readings:
    """events, impressions, left_out: counts by outcome, and of stages that there was no time for."""

    routes: list[Route] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    impressions: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> Stage | None:
        """A whole answer."""
        return next((one for one in self.stages if one.name == "whole"), None)


def read(registry: Any) -> Readings:
    """registry: Prometheus'."""
    families = {family.name: family.samples for family in registry.collect()}

    def counts(name: str, label: str) -> dict[str, int]:
        samples = families.get(f"headrace_{name}", ())
        return {one.labels[label]: int(one.value) for one in samples if one.name.endswith("_total")}

    return Readings(
        _routes(families.get("headrace_requests", ())),
        _stages(families.get("headrace_stage_seconds", ())),
        counts("events", "outcome"),
        counts("impressions", "outcome"),
        counts("degraded", "stage"),
    )


def quantile(bounds: Sequence[float], up_to: Sequence[float], share: float) -> float:
    """bounds: the buckets' upper ends, the last of them infinite; up_to: how many lie below each. NaN of none."""
    if not up_to or up_to[-1] == 0:
        return math.nan
    wanted = share * up_to[-1]
    at = next(place for place, count in enumerate(up_to) if count >= wanted)
    if math.isinf(bounds[at]):
        return math.nan
    low, below = (bounds[at - 1], up_to[at - 1]) if at else (0.0, 0.0)
    return low + (bounds[at] - low) * (wanted - below) / (up_to[at] - below)


def _routes(samples: Sequence[Any]) -> list[Route]:
    """Not the console's own."""
    found: dict[str, Route] = {}
    for one in samples:
        path, status = one.labels.get("route", ""), one.labels.get("status", "")
        if not one.name.endswith("_total") or path.startswith("/console"):
            continue
        route = found.setdefault(path, Route(path))
        fate = "server" if status >= "500" else "client" if status >= "400" else "well"
        setattr(route, fate, getattr(route, fate) + int(one.value))
    return sorted(found.values(), key=lambda route: -route.all)


def _stages(samples: Sequence[Any]) -> list[Stage]:
    """In the order they ran first; the whole answer, which ends last, is the last."""
    buckets: dict[str, list[tuple[float, float]]] = {}
    sums = {one.labels["stage"]: one.value for one in samples if one.name.endswith("_sum")}
    for one in samples:
        if one.name.endswith("_bucket"):
            buckets.setdefault(one.labels["stage"], []).append((float(one.labels["le"]), one.value))
    made = []
    for name, held in buckets.items():
        bounds, up_to = zip(*sorted(held), strict=True)
        p50, p95, p99 = (1000 * quantile(bounds, up_to, share) for share in (0.5, 0.95, 0.99))
        made.append(Stage(name, int(up_to[-1]), 1000 * sums[name] / max(up_to[-1], 1), p50, p95, p99, bounds, up_to))
    return sorted(made, key=lambda stage: stage.name == "whole")
