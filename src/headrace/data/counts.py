"""How often, lately: a user's events and an item's events in the last days before a moment, as small integers.

    n = events with at - days <= time < at          code = 1 + floor(log2(1 + n)), at most SIZE - 1; 0 for the unknown

Never an event at or after the moment, nor one that was received then or later (`late_times`), so offline, as of a past request,
they are what would have been served then. Each count is two bisections in a sorted run of times (a user's in the history store,
an item's in `ItemTimes`), all rows at once, on memory-mapped arrays: O(log longest run) array steps.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from headrace.contracts.requests import Bool, History, Int32, Int64
from headrace.data.histories import HistoryStore, bisect
from headrace.data.late_times import LateTimes

SIZE = 24  # codes: a count of four million and more is the last one
DAY_US = 86_400_000_000
_EVENTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class ItemTimes:
    """The times of each item's events, sorted: item i's are at_us[offsets[i] : offsets[i + 1]]."""

    offsets: Int64
    at_us: Int64

    @classmethod
    def of(cls, events: History, n_items: int, folder: Path | None = None, *, at_once: int = _EVENTS_AT_ONCE) -> "ItemTimes":
        """The store turned round, `at_once` events in memory at a time. folder: an existing one, for a memory-mapped file."""
        counts = np.zeros(n_items, np.int64)
        pieces = [slice(start, start + at_once) for start in range(0, len(events.items), at_once)]
        for piece in pieces:
            counts += np.bincount(events.items[piece], minlength=n_items)
        offsets: Int64 = np.concatenate([[0], np.cumsum(counts)])
        at_us = _times(folder, int(offsets[-1]))
        filled = offsets[:-1].copy()
        for piece in pieces:
            items, order = events.items[piece], np.argsort(events.items[piece], kind="stable")
            present, first, sizes = np.unique(items[order], return_index=True, return_counts=True)
            within = np.arange(len(order)) - np.repeat(first, sizes)
            at_us[filled[items[order]] + within] = events.at_us[piece][order]
            filled[present] += sizes
        _sort_runs(at_us, offsets, at_once)
        return cls(offsets, at_us)


class Counting(Protocol):
    """What `Features` ask: the log's events offline (`Counts`), with those since online (`data.recent_counts`)."""

    def of_users(self, users: Int32, at_us: Int64, days: int) -> Int32: ...
    def of_items(self, items: Int32, at_us: Int64, days: int) -> Int32: ...


@dataclass(frozen=True)
class Counts:
    """history: times a user. items: times an item. late: of users and items, what was received after it happened."""

    history: HistoryStore
    items: ItemTimes
    late: tuple[LateTimes, LateTimes] | None = None

    def of_users(self, users: Int32, at_us: Int64, days: int) -> Int32:
        """[R] codes; a user out of range is unknown."""
        known = (users > 0) & (users < len(self.history.events))
        return codes_of(self.events_of_users(users, at_us, days), known)

    def of_items(self, items: Int32, at_us: Int64, days: int) -> Int32:
        """[R, C] codes of items [R, C] as of at_us [R]; 0 for item 0 and items out of range."""
        return codes_of(self.events_of_items(items, at_us, days), self.knows(items))

    def knows(self, items: Int32) -> Bool:
        return (items > 0) & (items < len(self.items.offsets) - 1)

    def events_of_users(self, users: Int32, at_us: Int64, days: int) -> Int64:
        """[R], 0 for a user out of range."""
        rows = np.where((users > 0) & (users < len(self.history.events)), users, 0)
        offsets = self.history.events.offsets
        found = events_between(self.history.events.at_us, offsets[rows], offsets[rows + 1], at_us, days)
        return found if self.late is None else found - self.late[0].unheard(rows, at_us, days)

    def events_of_items(self, items: Int32, at_us: Int64, days: int) -> Int64:
        """[R, C], 0 for an item out of range."""
        rows = np.where(self.knows(items), items, 0).ravel()
        moments, offsets = np.repeat(at_us, items.shape[1]), self.items.offsets
        found = events_between(self.items.at_us, offsets[rows], offsets[rows + 1], moments, days)
        if self.late is not None:
            found = found - self.late[1].unheard(rows, moments, days)
        return found.reshape(items.shape)


def events_between(times: Int64, start: Int64, stop: Int64, at_us: Int64, days: int) -> Int64:
    """How many of the sorted times[start[r] : stop[r]] lie in the `days` before at_us[r], [n]."""
    end = bisect(times, start, stop, at_us)
    return end - bisect(times, start, end, at_us - days * DAY_US)


def codes_of(counts: Int64, known: Bool) -> Int32:
    codes: Int32 = np.minimum(np.frexp(1.0 + counts)[1], SIZE - 1).astype(np.int32)  # frexp is exact where log2 is not
    return np.where(known, codes, 0).astype(np.int32)


def _times(folder: Path | None, size: int) -> Int64:
    if folder is None or not size:
        return np.zeros(size, np.int64)
    return np.lib.format.open_memmap(folder / "item_times.npy", mode="w+", dtype=np.int64, shape=(size,))


def _sort_runs(times: Int64, offsets: Int64, at_once: int) -> None:
    """Each run in place, as many whole runs together as make up `at_once` events."""
    run = 0
    while run < len(offsets) - 1:
        last = max(int(np.searchsorted(offsets, offsets[run] + at_once, side="right")) - 1, run + 1)
        window = slice(int(offsets[run]), int(offsets[last]))
        rows = np.repeat(np.arange(run, last), np.diff(offsets[run : last + 1]))
        times[window] = times[window][np.lexsort((times[window], rows))]
        run = last
