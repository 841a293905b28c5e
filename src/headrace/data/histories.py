"""Every user's events in one CSR store, and histories as of a time for a batch of (user, time) in two look-ups.

Memory-mapped when opened from a folder: only the pages that are asked for are read.
Cost: O(log longest history) array steps a batch, then a gather of what is returned.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import History, Int32, Int64
from headrace.data.steps import gathered


def bisect(times_us: Int64, low: Int64, high: Int64, at_us: Int64) -> Int64:
    """For each row r, the first place in times_us[low[r]:high[r]] (sorted) not before at_us[r]. All rows at once."""
    low, high = low.copy(), high.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        earlier = open_ & (times_us[np.where(open_, middle, 0)] < at_us)
        low = np.where(earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low


class HistoryStore:
    """offsets [users + 1]; items, at_us [events], each user's in time order. Row 0, the unknown user, is empty."""

    def __init__(self, events: History, folder: Path | None = None):
        """folder: where its files lie, if they do."""
        self.events, self.folder = events, folder

    @classmethod
    def from_events(
        cls, users: Int32, items: Int32, at_us: Int64, n_users: int, shuffle: NDArray[Any] | None = None
    ) -> "HistoryStore":
        """From rows in any order. shuffle: a key a row that orders the events of one user at one moment (a seeded draw)."""
        order = np.lexsort((np.arange(len(users)) if shuffle is None else shuffle, at_us, users))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])
        return cls(History(offsets, items[order], at_us[order]))

    def as_of(self, users: Int32, at_us: Int64, newest: int | None = None) -> History:
        """Events strictly before each time, at most the `newest`; a user out of range has none."""
        known = np.where((users > 0) & (users < len(self.events)), users, 0)
        start, stop = self.events.offsets[known], self.events.offsets[known + 1]
        end = bisect(self.events.at_us, start, stop, at_us)
        if newest is not None:
            start = np.maximum(start, end - newest)
        return gathered(self.events, start, end)

    def places(self, at_us: int | Int64) -> Int64:
        """Where each user's events at or after a moment begin, [users]. at_us: one for all, or [users]."""
        low, high = self.events.offsets[:-1], self.events.offsets[1:]
        return bisect(self.events.at_us, low, high, np.broadcast_to(np.asarray(at_us), low.shape))

    def save(self, folder: Path) -> None:
        for name in ("offsets", "items", "at_us"):
            np.save(folder / f"{name}.npy", getattr(self.events, name))

    @classmethod
    def load(cls, folder: Path) -> "HistoryStore":
        offsets, items, at_us = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("offsets", "items", "at_us")
        )
        return cls(History(offsets, items, at_us), folder)
