"""A candidate that answers a share of the requests too, for nobody: in a thread of its own, after the real answer was sent.

It answers as of the request's moment, so from the same history. Nothing of it is logged as shown. Compared are:

    overlap        |both pages' items| / items of the longer page
    correlation    Spearman's rank correlation of the candidates that both ranked, where there are three or more
    took_s         beside what the real answer took; the thread shares the machine with the answers, so it is an upper bound

A bounded queue: while it is full, further requests are counted as dropped. Figures are of all processes of the server.
"""

import logging
import queue
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headrace.cascade.answers import Walk
from headrace.contracts.rng import mix, stable_hash, uniform
from headrace.serve.asked import HISTORY
from headrace.serve.given import Given
from headrace.serve.live.metered import Metered
from headrace.serve.service import Service
from headrace.serve.state.database import Full
from headrace.serve.state.lately import Ring, whose

log = logging.getLogger(__name__)

_LOOKED_BACK = 1000
_OUTCOMES = ("answered", "failed", "dropped")
_COMPARED = struct.Struct("<4d")
_SALT = stable_hash(["shadow"])[0]


@dataclass(frozen=True)
class Waiting:
    """ranked: the real answer's candidates, best first, by their ids."""

    given: Given
    ranked: list[str]


class Shadow:
    """candidate: open beside the live one. share: of requests, by a hash of their ids."""

    def __init__(self, candidate: Service, metered: Metered, *, share: float, waiting: int):
        self.candidate, self.metered, self.share = candidate, metered, share
        self._lately = candidate.shared.lately
        self._seen = Ring(self._lately.tables["compared"], _LOOKED_BACK, whose(candidate.generation))
        self._queue: queue.Queue[Waiting | None] = queue.Queue(waiting)
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> dict[str, int]:
        """Of this generation as a shadow, since the server was started, in all its processes."""
        return {outcome: self._lately.count(self._named(outcome)) for outcome in _OUTCOMES}

    def offer(self, given: Given, answered_by: Service) -> None:
        """Never waits. One that had been given before is not compared again."""
        if given.walked is None or uniform(mix(stable_hash([given.asked.request_id]), _SALT))[0] >= self.share:
            return
        try:
            self._queue.put_nowait(Waiting(given, ranked(answered_by, given.walked)))
        except queue.Full:
            self._count("dropped")

    def figures(self) -> dict[str, Any]:
        """Means over the last 1,000 answers; None where there are none."""
        with self._lately.reading() as reading:
            seen = np.frombuffer(b"".join(self._seen.values(reading)), np.float64).reshape(-1, 4)
        overlap, correlation, took, real = seen.T
        known = correlation[~np.isnan(correlation)]
        ms = {name: [_ms(values, 50), _ms(values, 99)] for name, values in (("shadow", took), ("live", real))}
        return {
            **self.counts, "share": self.share, "overlap": _mean(overlap), "rank_correlation": _mean(known),
            "shadow_p50_ms": ms["shadow"][0], "shadow_p99_ms": ms["shadow"][1],
            "live_p50_ms": ms["live"][0], "live_p99_ms": ms["live"][1], "last_failure": self._lately.asked(self._named("why"))[1],
        }  # fmt: skip

    def close(self) -> None:
        """What waits is not answered any more; afterwards nothing of the candidate is in use."""
        self.closing.set()
        with suppress(queue.Full):  # then there is something that the thread has to take, and sees that it is over
            self._queue.put_nowait(None)
        self._thread.join()

    def _run(self) -> None:
        while (one := self._queue.get()) is not None and not self.closing.is_set():
            started = time.perf_counter()
            try:
                asked = one.given.asked
                asked = replace(asked, skipped=tuple({HISTORY} & {*asked.skipped}))
                walked = self.candidate.walk(asked, counted=False)
            except Exception as error:  # whatever it is, it would have been an answer that a user did not get
                with suppress(Full):
                    self._lately.ask(self._named("why"), f"{type(error).__name__}: {error}")
                log.warning("shadow %s could not answer %s", self.candidate.generation, one.given.asked.request_id, exc_info=True)
                self._count("failed")
                continue
            self._compare(one, walked, time.perf_counter() - started)

    def _compare(self, one: Waiting, walked: Walk, took_s: float) -> None:
        shown = walked.slates.items[0, : one.given.asked.slots]
        mine = {self.candidate.names.ids[item] for item in shown[shown > 0]}
        theirs = {item.item_id for item in one.given.page}
        overlap = len(mine & theirs) / max(len(mine), len(theirs), 1)
        correlation = spearman(ranked(self.candidate, walked), one.ranked)
        generation = self.candidate.generation
        self.metered.shadow_s.labels(generation).observe(took_s)
        self.metered.shadow_overlap.labels(generation).observe(overlap)
        if not np.isnan(correlation):
            self.metered.shadow_correlation.labels(generation).observe(correlation)
        with self._lately.noting() as writing:
            number = self._seen.add(writing, _COMPARED.pack(overlap, correlation, took_s, one.given.took_s))
            self._seen.over(writing, number)
            self._count("answered")

    def _count(self, outcome: str) -> None:
        self._lately.add(self._named(outcome))
        self.metered.shadow_answers.labels(self.candidate.generation, outcome).inc()

    def _named(self, what: str) -> str:
        return f"shadow {self.candidate.generation} {what}"


def ranked(service: Service, walked: Walk) -> list[str]:
    items = walked.candidates.items[0]
    return [service.names.ids[item] for item in items[items > 0]]


def spearman(mine: list[str], theirs: list[str]) -> float:
    """1 - 6 Σd² / (n³ - n) over the items in both; NaN of fewer than three."""
    place = {item: rank for rank, item in enumerate(theirs)}
    there = np.array([place[item] for item in mine if item in place])
    if len(there) < 3:
        return float("nan")
    apart = np.argsort(np.argsort(there)) - np.arange(len(there))
    return float(1 - 6 * (apart**2).sum() / (len(there) ** 3 - len(there)))


def _mean(values: Any) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _ms(values: Any, percentile: float) -> float | None:
    return round(1000 * float(np.percentile(values, percentile)), 2) if len(values) else None
