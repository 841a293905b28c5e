"""How fast a server is asked: so many requests and tokens a minute, longer and longer pauses after failures.

    start of a request = max(now, start of the one before + 60 / requests_per_minute, ... + its tokens x 60 / tokens_per_minute)
    pause before try k = min(longest, first x 2^k) x uniform(0.5, 1)

Requests are spread evenly, so no minute, wherever it begins, holds more than its share and the one that is on its way.
"""

import random
import time
from collections.abc import Callable
from threading import Lock


class Pace:
    """One for all threads that ask a server."""

    def __init__(
        self, requests_per_minute: float | None, tokens_per_minute: float | None, clock: Callable[[], float] = time.monotonic
    ):
        self._request_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._token_s = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._clock, self._lock, self._next = clock, Lock(), float("-inf")

    def turn(self, tokens: int) -> float:
        """Seconds until the asker's turn, which is theirs from now on."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + max(self._request_s, tokens * self._token_s)
            return start - now

    def hold(self, seconds: float) -> None:
        """No turn begins before: the server asked for it."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


def backoff(failed: int, first_s: float, longest_s: float) -> float:
    """failed: tries until now, 1 or more. The draw keeps askers that failed together from coming back together."""
    return min(longest_s, first_s * 2.0 ** min(failed - 1, 60)) * random.uniform(0.5, 1)
