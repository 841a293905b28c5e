"""Every user's events in one CSR store, and histories as of a time for a batch of (user, time) in two look-ups.

Memory-mapped when opened from a folder: only the pages that are asked for are read.
Cost: O(log longest history) array steps a batch, then a gather of what is returned.

Events stand in the order they happened. Where some were received later than that, a history holds those that had been received
by its time: the second look-up finds the first event that had not, all before it had, and only those after it are looked
through one by one.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import History, Int32, Int64
from headrace.data.steps import gathered

RECEIVED = ("known_us", "settled_us")
"""Files that are there where an event was received after it happened."""


def bisect(times_us: Int64, low: Int64, high: Int64, at_us: Int64) -> Int64:
    """For each row r, the first place in times_us[low[r]:high[r]] (sorted) not before at_us[r]. All rows at once."""
    if len(low) == 1:
        return low + np.searchsorted(times_us[int(low[0]) : int(high[0])], at_us)
    low, high = low.copy(), high.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        earlier = open_ & (times_us[np.where(open_, middle, 0)] < at_us)
        low = np.where(earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low


@dataclass(frozen=True)
class Received:
    """known_us [events]: the later of when each happened and when it was received. settled_us [events]: by when it and all that
    stand before it of its user were known."""

    known_us: Int64
    settled_us: Int64


class HistoryStore:
    """offsets [users + 1]; items, at_us [events], each user's in time order. Row 0, the unknown user, is empty."""

    def __init__(self, events: History, folder: Path | None = None, received: Received | None = None):
        """folder: where its files lie, if they do. received: None where every event was known when it happened."""
        self.events, self.folder, self.received = events, folder, received

    @classmethod
    def from_events(
        cls, users: Int32, items: Int32, at_us: Int64, n_users: int, shuffle: NDArray[Any] | None = None
    ) -> "HistoryStore":
        """From rows in any order. shuffle: a key a row that orders the events of one user at one moment (a seeded draw)."""
        order = np.lexsort((np.arange(len(users)) if shuffle is None else shuffle, at_us, users))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])
        return cls(History(offsets, items[order], at_us[order]))

    def as_of(self, users: Int32, at_us: Int64, newest: int | None = None) -> History:
        """Events strictly before each time, received before it too, at most the `newest`; a user out of range has none."""
        known = np.where((users > 0) & (users < len(self.events)), users, 0)
        end = bisect(self.events.at_us, self.events.offsets[known], self.events.offsets[known + 1], at_us)
        return self.until(known, end, at_us, newest)

    def until(self, users: Int32 | Int64, end: Int64, at_us: Int64, newest: int | None = None) -> History:
        """Each user's events before a place in the store, those received before a time, at most the `newest`."""
        start = self.events.offsets[users]
        settled = end if self.received is None else bisect(self.received.settled_us, start, end, at_us)
        if newest is not None:
            start = np.maximum(start, settled - newest)
        found = gathered(self.events, start, end)
        if self.received is None or (settled == end).all():
            return found
        known_us = gathered(replace(self.events, at_us=self.received.known_us), start, end).at_us
        rows = found.rows()
        there = known_us < at_us[rows]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[there], minlength=len(found)))])
        left = History(offsets, found.items[there], found.at_us[there])
        return left if newest is None else left.newest(newest)

    def places(self, at_us: int | Int64) -> Int64:
        """Where each user's events at or after a moment begin, [users]. at_us: one for all, or [users]."""
        low, high = self.events.offsets[:-1], self.events.offsets[1:]
        return bisect(self.events.at_us, low, high, np.broadcast_to(np.asarray(at_us), low.shape))

    def retimed(self, at_us: Int64) -> "HistoryStore":
        """The same events in the same order, at other moments [events]."""
        return HistoryStore(History(self.events.offsets, self.events.items, at_us))

    def save(self, folder: Path) -> None:
        for name in ("offsets", "items"):
            np.save(folder / f"{name}.npy", getattr(self.events, name))
        self.save_times(folder)

    def save_times(self, folder: Path) -> None:
        """Where the rest is there already, as a retimed store's is."""
        np.save(folder / "at_us.npy", self.events.at_us)
        for name in RECEIVED:
            (folder / f"{name}.npy").unlink(missing_ok=True)
            if self.received is not None:
                np.save(folder / f"{name}.npy", getattr(self.received, name))

    @classmethod
    def load(cls, folder: Path) -> "HistoryStore":
        events = History(*(_mapped(folder, name) for name in ("offsets", "items", "at_us")))
        late = (folder / f"{RECEIVED[0]}.npy").is_file()
        return cls(events, folder, Received(*(_mapped(folder, name) for name in RECEIVED)) if late else None)


def _mapped(folder: Path, name: str) -> Any:
    # A plain view: numpy's own class for mapped files takes ten times as long for a small look-up.
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
