"""Trailing counts while serving: the log's events, and those that came in since it was built.

    n = n of the log + events since with at - days <= time < at and received before at

So a count as of a past request can be worked out again, whatever came in later. Events since are in memory, sorted by key (a
user or an item) and time, but for the newest few, which are sorted when they are asked for. Cost: O(log events) array steps a
question; 40 bytes an event for each of the two keys; every `_UNSORTED` events, all are sorted again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from headrace.contracts.requests import Int32, Int64
from headrace.data.counts import Counts, codes_of, events_between

_UNSORTED = 4096


class RecentTimes:
    """When each key had its events. Safe to be added to by one thread and asked by another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.clear()

    def __len__(self) -> int:
        return self._size

    def clear(self) -> None:
        with self._lock:
            self._rows, self._size = np.zeros((3, 1024), np.int64), 0  # key, time, received; in the order of `received`
            self._sorted = np.zeros((2, 0), np.int64)  # key and time of the first so many of them

    def add(self, keys: Int64, at_us: Int64, received_us: Int64) -> None:
        """[n] each, in any order; seldom older than what is there."""
        order = np.argsort(received_us, kind="stable")
        new = np.stack([keys, at_us, received_us])[:, order]
        with self._lock:
            size = self._size + new.shape[1]
            if size > self._rows.shape[1]:
                grown = np.zeros((3, max(size, 2 * self._rows.shape[1])), np.int64)
                grown[:, : self._size] = self._rows[:, : self._size]
                self._rows = grown
            start = int(np.searchsorted(self._rows[2, : self._size], new[2, :1].min(initial=2**63 - 1), side="right"))
            late = np.concatenate([self._rows[:, start : self._size], new], 1)
            self._rows[:, start:size] = late[:, np.argsort(late[2], kind="stable")]
            self._size = size
            if start < self._sorted.shape[1] or size - self._sorted.shape[1] > _UNSORTED:
                self._sorted = _by_key(self._rows[:2, :size])

    def count(self, keys: Int64, at_us: int, days: int) -> Int64:
        """Of each key [n], as of one moment."""
        with self._lock:
            rows, ordered = self._rows[:, : self._size], self._sorted
            known = int(np.searchsorted(rows[2], at_us))  # what was received by then
            newer = rows[:2, ordered.shape[1] : known].copy()
            unheard = rows[:2, known : ordered.shape[1]].copy()
        found = _count(ordered, keys, at_us, days)
        if newer.size:
            found = found + _count(_by_key(newer), keys, at_us, days)
        if unheard.size:
            found = found - _count(_by_key(unheard), keys, at_us, days)
        return found


@dataclass(frozen=True)
class RecentCounts:
    """`Counting` over a log and what came in since. users: by a key of the user's name, since a new user has no number.

    asked: the keys of the users that are asked about, in their order; a user nobody has heard of has had no event, which is what
    one who is new in the log has had.
    """

    below: Counts
    users: RecentTimes
    items: RecentTimes
    asked: Sequence[int] = ()

    def of_users(self, users: Int32, at_us: Int64, days: int) -> Int32:
        keys = np.array(self.asked, np.int64)
        since = [self.users.count(keys[row : row + 1], at, days)[0] for row, at in enumerate(at_us.tolist())]
        counts = self.below.events_of_users(users, at_us, days) + np.array(since, np.int64)
        return codes_of(counts, np.ones(len(users), np.bool_))

    def of_items(self, items: Int32, at_us: Int64, days: int) -> Int32:
        since = [self.items.count(row.astype(np.int64), at, days) for row, at in zip(items, at_us.tolist(), strict=True)]
        counts = self.below.events_of_items(items, at_us, days) + np.array(since, np.int64).reshape(items.shape)
        return codes_of(counts, self.below.knows(items))


def _by_key(rows: Int64) -> Int64:
    """[2, n] key and time -> sorted by key, then time."""
    return rows[:, np.lexsort((rows[1], rows[0]))]


def _count(ordered: Int64, keys: Int64, at_us: int, days: int) -> Int64:
    start, stop = (np.searchsorted(ordered[0], keys, side=side) for side in ("left", "right"))
    return events_between(ordered[1], start, stop, np.full(len(keys), at_us), days)
