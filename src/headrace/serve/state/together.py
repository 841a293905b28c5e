"""Calls that come in while another works are done by one of them for all: a commit waits for the disk, whatever it holds.

    n callers at once     one works for itself, then one for the other n - 1

Nobody waits for others to come: a call alone is worked on at once. Cost: one piece of work for as many calls as came meanwhile.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Done = TypeVar("Done")


class _Call(Generic[Asked, Done]):
    def __init__(self, asked: Asked):
        self.asked, self.done = asked, list[Done]()
        self.error: Exception | None = None


class Together(Generic[Asked, Done]):
    """work: what was asked, in the order it came -> as many answers. Where it fails, it fails for all who asked."""

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Done]]):
        self._work, self._turn, self._lock = work, Lock(), Lock()
        self._waiting: list[_Call[Asked, Done]] = []

    def __call__(self, asked: Asked) -> Done:
        mine = _Call[Asked, Done](asked)
        with self._lock:
            self._waiting.append(mine)
        with self._turn:
            if not mine.done and mine.error is None:
                self._all()
        if mine.error is not None:
            raise mine.error
        return mine.done[0]

    def _all(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting, []
        try:
            for call, done in zip(calls, self._work([call.asked for call in calls]), strict=True):
                call.done.append(done)
        except Exception as error:
            for call in calls:
                call.error = error
