"""What a server counts, in Prometheus' text form. One registry an app, so that two in a process don't share counts."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from headrace.encode.optional import optional

_BOUNDS_S = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    def __init__(self, generation: str):
        client: Any = optional("prometheus_client", package="prometheus-client", extra="serve", purpose="Serving")
        self._text, self.registry = client.generate_latest, client.CollectorRegistry()
        self.content_type: str = client.CONTENT_TYPE_LATEST

        def counter(name: str, what: str, *labels: str) -> Any:
            return client.Counter(f"headrace_{name}", what, labels, registry=self.registry)

        self._requests = counter("requests_total", "HTTP requests answered", "route", "status")
        self._errors = counter("errors_total", "HTTP requests that failed, by whose fault", "route", "fault")
        self._events = counter("events_total", "Events received", "outcome")
        self._impressions = counter("impressions_total", "Answers by what the impression log made of them", "outcome")
        self._degraded = counter("degraded_total", "Answers that a stage was left out of for want of time", "stage")
        self._states = counter("user_states_total", "Users' states by where a scorer had them from", "stage", "outcome")
        self._stages = client.Histogram(
            "headrace_stage_seconds", "Time an answer takes, by stage", ["stage"], buckets=_BOUNDS_S, registry=self.registry
        )
        self._serving = client.Gauge("headrace_generation", "The generation that answers", ["generation"], registry=self.registry)
        self.serves(generation)
        for outcome in ("written", "dropped"):
            self._impressions.labels(outcome)  # so that a drop is a step from 0 and not a series that appears

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._stages.labels(name).observe(time.perf_counter() - started)

    def serves(self, generation: str) -> None:
        self._serving.clear()
        self._serving.labels(generation).set(1)

    def answered(self, route: str, status: int) -> None:
        self._requests.labels(route, status).inc()
        if status >= 400:
            self._errors.labels(route, "server" if status >= 500 else "client").inc()

    def events(self, outcome: str, count: int) -> None:
        self._events.labels(outcome).inc(count)

    def impressions(self, outcome: str, count: int) -> None:
        self._impressions.labels(outcome).inc(count)

    def degraded(self, stages: Iterable[str]) -> None:
        for one in stages:
            self._degraded.labels(one).inc()

    def states(self, stage: str, outcome: str) -> None:
        self._states.labels(stage, outcome).inc()

    def text(self) -> bytes:
        found: bytes = self._text(self.registry)
        return found
