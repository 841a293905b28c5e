"""How a generation fares while it answers: failures, time taken, and of the pages it showed how many were followed by an event.

A page counts as clicked where a positive event names its request and one of its items, once however many there are. Pages are
compared after the same time each (`settled`), so that a page that was just shown is not one that nobody clicked.
expected: what a calibrated ranker says of the same, 1 - product of (1 - p) over the page; NaN of any other ranker.
"""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from headrace.contracts.requests import Float64

_MOST = 10_000
"""Answers, and pages, that are looked back on."""


@dataclass
class _Page:
    at_s: float
    items: frozenset[str]
    expected: float
    clicked: bool = False


@dataclass(frozen=True)
class Figures:
    """took_s [answers that did not fail]. pages: settled ones; clicked: of them. foreseen: the clicked ones of which a calibrated
    ranker said something; expected: what it said of all such."""

    answers: int = 0
    failed: int = 0
    took_s: Float64 = field(default_factory=lambda: np.zeros(0))
    pages: int = 0
    clicked: int = 0
    foreseen: int = 0
    expected: float = 0.0

    def slower(self, than_s: float) -> int:
        return int((self.took_s > than_s).sum())

    def ms(self, percentile: float) -> float | None:
        return None if not len(self.took_s) else round(1000 * float(np.percentile(self.took_s, percentile)), 2)


class Tally:
    """Of one generation. clock: seconds that only go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock, self._lock = clock, Lock()
        self._answers: deque[tuple[float, float, bool]] = deque(maxlen=_MOST)
        self._pages = OrderedDict[str, _Page]()

    @contextmanager
    def timed(self) -> Iterator[None]:
        """An answer; one that raises failed."""
        started, failed = self.clock(), True
        try:
            yield
            failed = False
        finally:
            now = self.clock()
            with self._lock:
                self._answers.append((now, now - started, failed))

    def shown(self, request_id: str, items: frozenset[str], expected: float) -> None:
        with self._lock:
            self._pages[request_id] = _Page(self.clock(), items, expected)
            while len(self._pages) > _MOST:
                self._pages.popitem(last=False)

    def clicked(self, request_id: str, item_id: str, within_s: float) -> None:
        """A positive event that names a request."""
        with self._lock:
            page = self._pages.get(request_id)
            if page is not None and item_id in page.items and self.clock() - page.at_s <= within_s:
                page.clicked = True

    def since(self, at_s: float, *, settled_s: float = 0.0) -> Figures:
        """Answers and pages from then on. settled_s: how long ago a page was shown at least."""
        with self._lock:
            now = self.clock()
            answers = [one for one in self._answers if one[0] >= at_s]
            pages = [one for one in self._pages.values() if at_s <= one.at_s <= now - settled_s]
        took = np.array([seconds for _, seconds, failed in answers if not failed], np.float64)
        rated = [one for one in pages if not math.isnan(one.expected)]
        return Figures(
            len(answers), sum(failed for *_, failed in answers), took, len(pages), sum(one.clicked for one in pages),
            sum(one.clicked for one in rated), sum(one.expected for one in rated),
        )  # fmt: skip
