"""Middleware: so many requests a second, by key or, without keys, by address; more are answered 429 and told when to come again.

A bucket holds `burst` and fills at `per_s`; a request takes one. Buckets lie where all processes of a server take from them
(`state.lately`); several servers each count for themselves. One that is full again is as one that never was: when there are many,
those are let go of, and of the others the fullest.
"""

import math
import struct
import time
from collections.abc import Callable
from typing import Any

from headrace.serve.guard.passage import Passage
from headrace.serve.guard.refusing import problem
from headrace.serve.state.database import digest
from headrace.serve.state.lately import Lately

_CALLERS = 10_000
_BUCKET = struct.Struct("<dd")


class Buckets:
    def __init__(self, per_s: float, burst: int, lately: Lately, clock: Callable[[], float] = time.monotonic):
        self.per_s, self.burst, self.clock = per_s, burst, clock
        self._lately, self._table = lately, lately.tables["callers"]

    def take(self, caller: str) -> float:
        """0 where the request may go; else the seconds until one may."""
        wait_s = 0.0
        with self._lately.noting() as writing:
            now, name = self.clock(), digest(caller)
            found = writing.get(name, db=self._table)
            held = self._held(found, now) if found else float(self.burst)
            if held >= 1:
                writing.put(name, _BUCKET.pack(held - 1, now), db=self._table)
                if found is None and writing.stat(self._table)["entries"] > _CALLERS:
                    self._let_go(writing, now)
            else:
                wait_s = (1 - held) / self.per_s
        return wait_s

    def _held(self, bucket: bytes, now: float) -> float:
        held, since = _BUCKET.unpack(bucket)
        return float(min(self.burst, held + self.per_s * max(now - since, 0.0)))

    def _let_go(self, writing: Any, now: float) -> None:
        """Enough that it is not done for every caller."""
        buckets = sorted((self._held(bucket, now), name) for name, bucket in writing.cursor(self._table))
        for place, (held, name) in enumerate(buckets):
            if held >= self.burst or place >= _CALLERS // 2:
                writing.delete(name, db=self._table)


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
