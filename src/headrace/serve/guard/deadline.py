"""Until when an answer is wanted, and which stages there is still time for.

A stage is left out when what is left is less than it is expected to take: the mean of what it took lately and twice how far it
strayed from that, both forgetting a tenth with each answer. What a stage that is left out would take nobody sees, so each time it
is, its expectation shrinks by a twentieth: after a slow spell it is tried again. What stands in for a stage: `cascade.sparing`.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from headrace.serve.clock import Clock

_NEW, _SHRINKS = 0.1, 0.95


class StageTimes:
    """Of one generation. also: by a stage's name, who else is told what it took, such as the metrics."""

    def __init__(self, also: Callable[[str], Callable[[float], None]]):
        self.also = also
        self._known: dict[str, tuple[float, float]] = {}

    def timed(self, stage: str) -> AbstractContextManager[None]:
        """What is raised inside takes no time."""
        also = self.also(stage)

        def took(seconds: float) -> None:
            also(seconds)
            self.took(stage, seconds)

        return Clock(took)

    def took(self, stage: str, seconds: float) -> None:
        mean, strayed = self._known.get(stage, (seconds, 0.0))
        strayed += _NEW * (abs(seconds - mean) - strayed)
        self._known[stage] = (mean + _NEW * (seconds - mean), strayed)

    def expected(self, stage: str) -> float:
        """0 of one that never ran: it is tried."""
        mean, strayed = self._known.get(stage, (0.0, 0.0))
        return mean + 2 * strayed

    def left_out(self, stage: str) -> None:
        mean, strayed = self._known.get(stage, (0.0, 0.0))
        self._known[stage] = (_SHRINKS * mean, _SHRINKS * strayed)


@dataclass(frozen=True)
class Deadline:
    """ends_at: by the clock, in seconds."""

    times: StageTimes
    ends_at: float
    clock: Callable[[], float] = time.perf_counter

    def skips(self, stage: str) -> bool:
        late = self.clock() + self.times.expected(stage) > self.ends_at
        if late:
            self.times.left_out(stage)
        return late
