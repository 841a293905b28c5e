"""Requests in flight, by the epoch they began in: a generation is closed when none that may have asked for it is left.

A swap begins an epoch. Whoever came before it may hold the old generation, whoever comes after it can't. So there is nothing that
a route has to give back: it asks for the generation once and keeps it while it answers.
"""

import threading
import time
from collections import Counter
from typing import Any


class Flights:
    def __init__(self) -> None:
        self.epoch, self._aboard, self._changed = 0, Counter[int](), threading.Condition()

    def begin(self) -> int:
        with self._changed:
            self._aboard[self.epoch] += 1
            return self.epoch

    def end(self, epoch: int) -> None:
        with self._changed:
            self._aboard[epoch] -= 1
            if not self._aboard[epoch]:
                del self._aboard[epoch]
                self._changed.notify_all()

    def next_epoch(self) -> int:
        """The one that is over with it."""
        with self._changed:
            self.epoch += 1
            return self.epoch - 1

    def landed(self, epoch: int, within_s: float) -> bool:
        """Waits for all that began in it or before."""
        until = time.monotonic() + within_s
        with self._changed:
            while any(one <= epoch for one in self._aboard):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True


class Aboard:
    """Middleware, the innermost: what reaches the routes is in flight until its answer is sent."""

    def __init__(self, app: Any, flights: Flights):
        self.app, self.flights = app, flights

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        epoch = self.flights.begin()
        try:
            await self.app(scope, receive, send)
        finally:
            self.flights.end(epoch)
