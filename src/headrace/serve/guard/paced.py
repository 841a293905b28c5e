"""Middleware: so many requests a second, by key or, without keys, by address; more are answered 429 and told when to come again.

A bucket holds `burst` and fills at `per_s`; a request takes one. Those of the callers that came last are held, in this process:
several workers or servers each count for themselves.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from headrace.serve.guard.passage import Passage
from headrace.serve.guard.refusing import problem

_CALLERS = 10_000


class Buckets:
    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic):
        self.per_s, self.burst, self.clock = per_s, burst, clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """0 where the request may go; else the seconds until one may."""
        now = self.clock()
        held, since = self._held.pop(caller, (float(self.burst), now))
        held = min(self.burst, held + self.per_s * max(now - since, 0.0))
        may = held >= 1
        self._held[caller] = (held - may, now)
        if len(self._held) > _CALLERS:
            self._held.popitem(last=False)
        return 0.0 if may else (1 - held) / self.per_s


class Paced:
    def __init__(self, app: Any, buckets: Buckets):
        self.app, self.buckets = app, buckets

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or Passage.of(scope).needs is None:
            await self.app(scope, receive, send)
            return
        wait_s = self.buckets.take(Passage.of(scope).caller)
        if wait_s == 0:
            await self.app(scope, receive, send)
            return
        says = f"more than {self.buckets.per_s:g} a second ([serve] rate_per_s). Come again after Retry-After seconds."
        await problem("rate", says, 429, {"Retry-After": str(math.ceil(wait_s))})(scope, receive, send)
