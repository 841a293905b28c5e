"""How a generation fares while it answers: failures, time taken, and of the pages it showed how many were followed by an event.

A page counts as clicked where a positive event names its request and one of its items, once however many there are. Pages are
compared after the same time each (`settled`), so that a page that was just shown is not one that nobody clicked.
expected: what a calibrated ranker says of the same, 1 - product of (1 - p) over the page; NaN of any other ranker.
All of a server's processes count together (`state.lately`), by one clock: the machine's, that only goes on. Of a page there are a
digest of its request, 4 bytes an item (so of 400 million clicks on other items one counts), and neither user nor page.
"""

import math
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from headrace.contracts.requests import Float64
from headrace.serve.state.database import DIGEST, digest
from headrace.serve.state.lately import Lately, Ring, whose

_MOST = 10_000
"""Answers that are looked back on."""
_ANSWER = struct.Struct(f"<ddd???{DIGEST}s")
_ANSWERS = np.dtype([
    ("at_s", "<f8"), ("took_s", "<f8"), ("expected", "<f8"), ("failed", "?"), ("shown", "?"), ("clicked", "?"),
    ("request", f"V{DIGEST}"),
])  # fmt: skip


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


@dataclass(frozen=True)
class Shown:
    """The page of an answer. expected: the chance that something of it is clicked, NaN where nobody says."""

    request_id: str
    items: Sequence[str]
    expected: float


class Tally:
    """Of one generation. clock: seconds that only go on, the same in all processes."""

    def __init__(self, lately: Lately, generation: str, clock: Callable[[], float] = time.monotonic):
        self.clock, self._lately, self._of = clock, lately, whose(generation)
        self._answers, self._shown = Ring(lately.tables["answers"], _MOST, self._of), lately.tables["shown"]

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Round an answer: one that raises failed. One that does not is `answered`, with what else is noted of it."""
        started = self.clock()
        try:
            yield
        except BaseException:
            self.answered(self.clock() - started, failed=True)
            raise

    def answered(self, took_s: float, page: Shown | None = None, *, failed: bool = False) -> None:
        name = bytes(DIGEST) if page is None else digest(page.request_id)
        expected = math.nan if page is None else page.expected
        answer = _ANSWER.pack(self.clock(), took_s, expected, failed, page is not None, False, name)
        with self._lately.noting() as writing:
            number = self._answers.add(writing, answer)
            if page is not None:
                writing.put(self._of + name, self._answers.key(number) + _short(page.items), db=self._shown)
            for old in self._answers.over(writing, number):
                writing.delete(self._of + old[-DIGEST:], db=self._shown)

    def clicked(self, request_id: str, item_id: str, within_s: float) -> None:
        """A positive event that names a request."""
        with self._lately.reading() as reading:
            found = reading.get(self._of + digest(request_id), db=self._shown)
            if found is None:
                return
            key, items = found[: len(self._of) + 8], found[len(self._of) + 8 :]
            at_s, *between, clicked, name = _ANSWER.unpack(reading.get(key, db=self._answers.table))
        if clicked or self.clock() - at_s > within_s or _short([item_id]) not in _cut(items):
            return
        with self._lately.noting() as writing:
            if writing.get(key, db=self._answers.table) is not None:  # it may have been the oldest meanwhile
                writing.put(key, _ANSWER.pack(at_s, *between, True, name), db=self._answers.table)

    def since(self, at_s: float, *, settled_s: float = 0.0) -> Figures:
        """Answers and pages from then on. settled_s: how long ago a page was shown at least."""
        with self._lately.reading() as reading:
            answers = np.frombuffer(b"".join(self._answers.values(reading)), _ANSWERS)
        answers = answers[answers["at_s"] >= at_s]
        pages = answers[answers["shown"] & (answers["at_s"] <= self.clock() - settled_s)]
        rated = pages[~np.isnan(pages["expected"])]
        return Figures(
            len(answers), int(answers["failed"].sum()), answers["took_s"][~answers["failed"]], len(pages),
            int(pages["clicked"].sum()), int(rated["clicked"].sum()), float(rated["expected"].sum()),
        )  # fmt: skip


def _short(items: Sequence[str]) -> bytes:
    return struct.pack(f"<{len(items)}I", *(zlib.crc32(one.encode()) for one in items))


def _cut(items: bytes) -> set[bytes]:
    return {items[at : at + 4] for at in range(0, len(items), 4)}
