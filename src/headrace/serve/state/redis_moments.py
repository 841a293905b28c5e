"""Moments for several servers on one Redis: its clock, and the moment of the last events that any of them took in.

    received    max(clock, last received + 1, last moment given here + 1), set in the step that keeps the events
    asked       max(clock, last received + 1, last moment given here + 1)

So whoever asks after an acknowledgement, at whichever server, asks as of later; and what is received after a request was asked is
not before it, as long as Redis' clock does not jump back. While Redis is away the server's own clock goes on.
"""

import time
from collections.abc import Callable
from threading import Lock

from headrace.serve.state.moments import Moments
from headrace.serve.state.redis_look import Looks
from headrace.serve.state.redis_scripts import MOMENT
from headrace.serve.state.redis_server import RedisServer, Unavailable


class RedisMoments(Moments):
    """wall_us: another clock than Redis' own."""

    def __init__(self, server: RedisServer, looks: Looks, wall_us: Callable[[], int] | None = None):
        self._looks = looks
        self._server, self._wall, self.of_redis = server, wall_us, wall_us is None
        self._here, self._last = Lock(), 0

    def asked(self) -> int:
        look = self._looks.mine
        if look is not None and look.moment is not None:
            (last_us, s, us), look.moment = look.moment, None
            return self._after(last_us, s * 1_000_000 + us)
        try:
            last, (s, us) = self._server.ask(lambda redis: redis.pipeline(transaction=True).get(MOMENT).time().execute())
        except Unavailable:
            return self._after(0, time.time_ns() // 1000)
        return self._after(int(last or 0), s * 1_000_000 + us)

    def floor(self) -> int:
        """Before which nothing is received from here on."""
        with self._here:
            return max(self._last + 1, 0 if self._wall is None else self._wall())

    def took(self, received_us: int) -> None:
        with self._here:
            self._last = max(self._last, received_us)

    def close(self) -> None:
        """Nothing is open."""

    def _after(self, last_us: int, now_us: int) -> int:
        with self._here:
            self._last = max(self._last + 1, last_us + 1, now_us if self._wall is None else self._wall())
            return self._last
