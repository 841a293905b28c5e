"""When an event was received and as of when a request is answered: one order of both, so that an answer can be worked out again.

    received    later than every moment given before, the same for all events of a commit
    asked       later than all that was acknowledged, earlier than what is being committed

A commit takes as long as the disk does, and who reads meanwhile does not see it. A request that comes meanwhile is answered as of
before it: else the answer worked out again, when the commit is there, would be another one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

_ASKED_MEANWHILE = 1000
"""Moments, in µs, that are left free before a commit's for the requests that come while it lasts."""


class Moments:
    """wall_us: the clock, UTC, µs. It may jump; moments go on."""

    def __init__(self, wall_us: Callable[[], int]):
        self._wall_us, self._lock = wall_us, Lock()
        self._last_us, self._committed_us = 0, 0  # the second: of the commit under way, 0 if there is none

    def asked(self) -> int:
        """Never the same twice, but for more than a thousand requests in one commit."""
        with self._lock:
            if self._committed_us:
                self._last_us = min(self._last_us + 1, self._committed_us - 1)
            else:
                self._last_us = max(self._last_us + 1, self._wall_us())
            return self._last_us

    @contextmanager
    def received(self) -> Iterator[int]:
        """Around a commit, one at a time: what is received in it, and readable when it ends."""
        with self._lock:
            self._last_us = max(self._last_us + 1, self._wall_us())
            self._committed_us = self._last_us + _ASKED_MEANWHILE
        try:
            yield self._committed_us
        finally:
            with self._lock:
                self._last_us, self._committed_us = self._committed_us, 0
