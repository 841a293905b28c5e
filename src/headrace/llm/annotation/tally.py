"""How a run goes on, told while it does: rows a second, time to go, cost, and the share of answers that could not be used."""

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from headrace.contracts.chat import Completion, Usage
from headrace.contracts.progress import Progress

_WINDOW_S = 60.0
_TELL_S = 0.2


class Pulse:
    """total: rows; done: of them before this run. spent: by earlier ones."""

    def __init__(self, progress: Progress, total: int, done: int, spent: Usage, clock: Callable[[], float] = time.monotonic):
        self._progress, self._total, self._clock, self._spent = progress, total, clock, spent
        self.done, self._heard, self._used, self._told = done, 0, Usage(), clock()
        self._seen = deque([(self._told, done)])

    def heard(self, answer: Completion) -> None:
        self.add(1, answer.usage)

    def add(self, rows: int, usage: Usage) -> None:
        self.done += rows
        self._heard += rows
        self._used += usage
        if (now := self._clock()) - self._told >= _TELL_S or self.done == self._total:
            self._told = now
            self._seen.append((now, self.done))
            while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
                self._seen.popleft()
            self._progress("rows", self.done, self._total, self.note)

    @property
    def rate(self) -> float:
        """Rows a second over the last minute."""
        (before, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - before) if now > before else 0.0

    @property
    def note(self) -> str:
        """lost: unparsed or failed, of those heard in this run. Short, as it stands beside a bar."""
        left = timedelta(seconds=round((self._total - self.done) / self.rate)) if self.rate else "?"
        cost = self._spent.cost + self._used.cost
        lost = self._used.unparsed + self._used.failed
        return f"{self.rate:.3g} rows/s, {left} to go, cost {cost:.4g}, {lost / max(1, self._heard):.1%} lost"
