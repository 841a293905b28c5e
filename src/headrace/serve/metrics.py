"""What a server counts, in Prometheus' text form. One registry an app, so that two in a process don't share counts.

Where several processes serve a run (the supervisor names a folder in PROMETHEUS_MULTIPROC_DIR before one imports the client) each
counts in files of its own there, and whoever is asked tells the sums of all. What a process that ended has counted stays in them,
what it was (gauges) goes with it.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from headrace.encode.optional import optional
from headrace.serve.clock import Clock

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BOUNDS_S = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """registry: to be read; of all processes."""

    def __init__(self, generation: str):
        self._client: Any = optional("prometheus_client", package="prometheus-client", extra="serve", purpose="Serving")
        self._made_in, self.registry = self._client.CollectorRegistry(), self._client.CollectorRegistry()
        folder = os.environ.get(FOLDER)
        self.registry.register(_Told(self._made_in if folder is None else _of_all(folder)))
        self.content_type: str = self._client.CONTENT_TYPE_LATEST
        self._requests = self.counter("requests_total", "HTTP requests answered", "route", "status")
        self._errors = self.counter("errors_total", "HTTP requests that failed, by whose fault", "route", "fault")
        self._events = self.counter("events_total", "Events received", "outcome")
        self._impressions = self.counter("impressions_total", "Answers by what the impression log made of them", "outcome")
        self._degraded = self.counter("degraded_total", "Answers without a stage, or without word from Redis", "stage")
        self._states = self.counter("user_states_total", "Users' states by where a scorer had them from", "stage", "outcome")
        self._unnoted = self.counter("unnoted_total", "Times that what came lately could not be kept: the disk is full")
        self._writes = self.gauge("writes_log", "Over Redis: whether this server has the lease to write files")
        self._waiting = self.gauge("rows_waiting", "Over Redis: rows of events that are in no file yet")
        self._silent = self.gauge("redis_silent_seconds", "Over Redis: how long ago it last answered, as of the last rotation")
        self._erasures = self.gauge("erasures_left", "Over Redis: users erased elsewhere whom this server's files may still name")
        self._of_stage: dict[str, Callable[[float], None]] = {}
        self._stages = self.histogram("stage_seconds", "Time an answer takes, by stage", "stage", _BOUNDS_S)
        self._serving, self._served = self.gauge("generation", "The generation that answers", "generation"), ""
        self.serves(generation)
        for outcome in ("written", "dropped"):
            self._impressions.labels(outcome)  # so that a drop is a step from 0 and not a series that appears

    def counter(self, name: str, what: str, *labels: str) -> Any:
        return self._client.Counter(f"headrace_{name}", what, labels, registry=self._made_in)

    def histogram(self, name: str, what: str, label: str, bounds: tuple[float, ...]) -> Any:
        return self._client.Histogram(f"headrace_{name}", what, [label], buckets=bounds, registry=self._made_in)

    def gauge(self, name: str, what: str, *labels: str) -> Any:
        """Of several processes that live the highest."""
        return self._client.Gauge(f"headrace_{name}", what, labels, registry=self._made_in, multiprocess_mode="livemax")

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Observed where nothing was raised."""
        return Clock(self.of_stage(name))

    def of_stage(self, name: str) -> Callable[[float], None]:
        """Observes what it is told, in seconds."""
        if name not in self._of_stage:  # an answer has a dozen, and looking a label up takes as long as to observe
            self._of_stage[name] = self._stages.labels(name).observe
        return self._of_stage[name]

    def serves(self, generation: str) -> None:
        self._serving.labels(generation).set(1)
        if self._served not in ("", generation):
            self._serving.labels(self._served).set(0)
        self._served = generation

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

    def rows(self, writes: bool, waiting: int) -> None:
        """Of a server beside others on one Redis: whether it writes files, and how many rows of events wait for one."""
        self._writes.set(writes)
        self._waiting.set(waiting)

    def silent(self, seconds: float) -> None:
        self._silent.set(seconds)

    def erasures_left(self, count: int) -> None:
        self._erasures.set(count)

    def unnoted(self) -> None:
        self._unnoted.inc()

    def states(self, stage: str, outcome: str) -> None:
        self._states.labels(stage, outcome).inc()

    def text(self) -> bytes:
        found: bytes = self._client.generate_latest(self.registry)
        return found


class _Told:
    """What there is to read. No series can be taken out of several processes' files: one that is over is 0, and left out here."""

    def __init__(self, source: Any):
        self._source = source

    def collect(self) -> Iterator[Any]:
        for family in self._source.collect():
            if family.name == "headrace_generation":
                family.samples = [one for one in family.samples if one.value]
            yield family


def _of_all(folder: str) -> Any:
    processes: Any = optional(
        "prometheus_client.multiprocess", package="prometheus-client", extra="serve", purpose="Serving"
    )  # fmt: skip
    return processes.MultiProcessCollector(None, folder)


def forget_process(folder: Path, pid: int) -> None:
    """Of one of several that ended: what it was is not told any more. folder: of all their metrics."""
    for file in folder.glob(f"gauge_live*_{pid}.db"):
        file.unlink(missing_ok=True)
