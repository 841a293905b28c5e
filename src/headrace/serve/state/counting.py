"""Trailing counts while serving: the log's below, the online state's events above, both by their times.

What is above is held in memory, without names: a user's events by a digest, an item's by its number. An event of an item that the
log does not know counts as the user's: the next build, which knows the item, counts it too. An erased user has no count
from then on; in the counts of items their events stay until the server starts again, as those of the log do until the next build.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from headrace.data.counts import Counts
from headrace.data.recent_counts import RecentCounts, RecentTimes
from headrace.serve.state.database import digest
from headrace.serve.state.layered import LayeredState

_NOBODY = 0


class OnlineCounting:
    """Hears of every event that the state takes in from here on. Cost at the start: one pass over the upper layer."""

    def __init__(self, state: LayeredState, below: Counts):
        self.state, self.below, self.users, self.items = state, below, RecentTimes(), RecentTimes()
        meanwhile: list[pl.DataFrame] = []  # the upper layer takes a while to read, and no event waits for it
        with state.changing:
            above, state.heard = state.newer(), meanwhile.append
        rows = [(_key(user), item, at, received) for user, item, at, received in above]
        self._add(np.array(rows, np.int64).reshape(-1, 4).T)
        with state.changing:
            for events in meanwhile:
                self.take(events)
            state.heard = self.take

    def take(self, events: pl.DataFrame) -> None:
        """Rows of the contract's table that the state has kept."""
        kept = events if self.state.positive is None else events.filter(pl.col("kind").is_in(self.state.positive))
        users = [_key(digest(user)) for user in kept["user_id"].to_list()]
        items = [self.state.items.get(item, 0) for item in kept["item_id"].to_list()]
        times = (kept[name].dt.timestamp("us").to_numpy() for name in ("at", "received_at"))
        self._add(np.stack([np.array(users, np.int64), np.array(items, np.int64), *times]))

    def of(self, users: Sequence[str | None]) -> RecentCounts:
        """As requests of these users ask; None is nobody."""
        erased = self.state.erased([user or "" for user in users])
        keys = [_NOBODY if user is None or gone else _key(digest(user)) for user, gone in zip(users, erased, strict=True)]
        return RecentCounts(self.below, self.users, self.items, keys)

    def _add(self, rows: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> None:
        users, items, at_us, received_us = rows
        self.users.add(users, at_us, received_us)
        known = items > 0
        self.items.add(items[known], at_us[known], received_us[known])


def _key(user: bytes) -> int:
    """Of a user's digest."""
    return int.from_bytes(user[:8], "big", signed=True)
