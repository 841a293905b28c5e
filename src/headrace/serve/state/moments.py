"""When an event was received and as of when a request is answered: one order of both, so that an answer can be worked out again.

    received    later than every moment given before, the same for all events of a commit
    asked       later than all that was acknowledged, earlier than what is being committed

A commit takes as long as the disk does, and who reads meanwhile does not see it. A request that comes meanwhile is answered as of
before it: else the answer worked out again, when the commit is there, would be another one.

The processes that serve one folder have one order: the last moment given and the moment of the commit under way (0: there is
none) are two numbers in a file that all of them map. They commit in turns. Who died in a commit gave its turn back, and the next
to ask or to commit takes the commit for over: nothing of it was acknowledged, and what is there was received before they ask.
Cost of `asked`: a few µs.
"""

import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.serve.state.turn import BriefTurn, Turn

LAST, _COMMITTED = range(2)
_BYTES = 16
_DAY_US = 86_400_000_000
_ASKED_MEANWHILE = 1000
"""Moments, in µs, that are left free before a commit's for the requests that come while it lasts."""


class Moments:
    """folder: where the order is kept, from when the server was started on. wall_us: the clock, UTC, µs; the system's if None. It
    may jump; moments go on."""

    def __init__(self, folder: Path, wall_us: Callable[[], int] | None = None):
        self._wall_us = wall_us or (lambda: time.time_ns() // 1000)
        self._turn, self._commits = BriefTurn(folder / "moments"), Turn(folder / "commit.lock")
        file = os.open(folder / "moments", os.O_RDWR)
        os.ftruncate(file, _BYTES)
        self._mapped = mmap.mmap(file, _BYTES)
        self._numbers = memoryview(self._mapped).cast("q")
        os.close(file)

    def asked(self) -> int:
        """Never the same twice, but for more than a thousand requests in one commit."""
        with self._turn:
            return self._next(self._wall_us())

    @contextmanager
    def received(self) -> Iterator[int]:
        """Around a commit, one at a time: what is received in it, and readable when it ends."""
        with self._commits:
            with self._turn:
                self._over()
                self._numbers[_COMMITTED] = committed_us = self._next(self._wall_us()) + _ASKED_MEANWHILE
            try:
                yield committed_us
            finally:
                with self._turn:
                    self._over()

    def close(self) -> None:
        self._numbers.release()
        self._mapped.close()
        self._turn.close()
        self._commits.close()

    def _next(self, wall_us: int) -> int:
        """In its turn."""
        last_us, committed_us = self._numbers
        if committed_us and self._commits.free():
            self._over()
            last_us, committed_us = self._numbers
        moment_us = max(last_us + 1, wall_us)
        if committed_us:
            moment_us = min(last_us + 1, committed_us - 1)
        self._numbers[LAST] = moment_us
        return moment_us

    def _over(self) -> None:
        """A commit, if there was one."""
        self._numbers[LAST] = max(self._numbers)
        self._numbers[_COMMITTED] = 0


def begin_anew(folder: Path) -> None:
    """By who alone has the folder open. What was acknowledged before the server was started again is known also where the clock
    was put back meanwhile, by a day at most: from a clock that was further ahead it recovers."""
    file, now_us = folder / "moments", time.time_ns() // 1000
    known = file.read_bytes() if file.is_file() else b""
    last_us = max(struct.unpack("<2q", known)) if len(known) == _BYTES else 0  # also of a commit in which it was killed
    file.write_bytes(struct.pack("<2q", last_us if last_us <= now_us + _DAY_US else 0, 0))
