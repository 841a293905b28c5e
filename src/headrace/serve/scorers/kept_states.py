"""What a server keeps of users between requests, in memory: the most recent ones', of so many bytes in all.

Kept is only what can be made anew, and each entry is held against the request before it is read, so one that was dropped costs
time and one that is out of date is never an answer. Entries go by a number of the user's id; no name is kept.
"""

import threading
from collections import OrderedDict
from typing import Any

from headrace.serve.state.database import digest

WHO = "who"
"""A feature of served requests, [R] int64: `number_of` the user; 0 where nothing of whoever asks may be kept."""


class KeptStates:
    """most_mb: of all entries. An entry larger than that is not kept."""

    def __init__(self, most_mb: float):
        self.nbytes, self._most = 0, int(most_mb * 2**20)
        self._held, self._stages = OrderedDict[tuple[str, int], tuple[Any, int]](), set[str]()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, stage: str, who: int) -> Any:
        """None if there is none."""
        with self._lock:
            found = self._held.get((stage, who))
            if found is None:
                return None
            self._held.move_to_end((stage, who))
            return found[0]

    def put(self, stage: str, who: int, entry: Any, nbytes: int) -> None:
        with self._lock:
            self._stages.add(stage)
            self._pop((stage, who))
            if nbytes > self._most:
                return
            self._held[stage, who] = entry, nbytes
            self.nbytes += nbytes
            while self.nbytes > self._most:
                self._pop(next(iter(self._held)))

    def drop(self, who: int) -> None:
        """Every stage's of one user."""
        with self._lock:
            for stage in self._stages:
                self._pop((stage, who))

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self.nbytes = 0

    def _pop(self, key: tuple[str, int]) -> None:
        _, nbytes = self._held.pop(key, (None, 0))
        self.nbytes -= nbytes


def number_of(user_id: str) -> int:
    return int.from_bytes(digest(user_id)[:8], "big", signed=True)
