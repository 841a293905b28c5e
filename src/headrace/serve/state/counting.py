"""Trailing counts while serving: the log's below, the online state's events above, both by their times.

What is above is held in memory, without names: a user's events by a digest, an item's by its number. Before each question it
follows what the state has taken in since, in whatever process, so what was acknowledged is counted. An event of an item that the
log does not know counts as the user's: the next build, which knows the item, counts it too. An erased user has no count from then
on; in the counts of items their events stay, where they had been counted, until the server starts again, as those of the log do
until the next build.
"""

from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np

from headrace.data.counts import Counts
from headrace.data.recent_counts import RecentCounts, RecentTimes
from headrace.serve.state.database import digest
from headrace.serve.state.layered import Arrival, LayeredState

_NOBODY = 0


class OnlineCounting:
    """Cost at the start: one pass over the upper layer. Of a question: a look-up where nothing came in, and a row for each event
    that did; where more came than the state keeps in order, the pass over all of it."""

    def __init__(self, state: LayeredState, below: Counts):
        self.state, self.below, self._following = state, below, Lock()
        self._times, self._arrived = self._read_all()

    def of(self, users: Sequence[str | None], *, above: bool = True) -> RecentCounts:
        """As requests of these users ask; None is nobody. above: with what came in since the build."""
        if above and self.state.arrived != self._arrived:
            with self._following:
                self._follow()
        erased = self.state.erased([user or "" for user in users])
        keys = [_NOBODY if user is None or gone else _key(digest(user)) for user, gone in zip(users, erased, strict=True)]
        return RecentCounts(self.below, *(self._times if above else (RecentTimes(), RecentTimes())), keys)

    def _follow(self) -> None:
        arrived, came = self.state.newer(self._arrived)
        if came is None:
            self._times, self._arrived = self._read_all()
        else:
            _add(self._times, came)
            self._arrived = arrived  # last, so that who asks meanwhile waits for it

    def _read_all(self) -> tuple[tuple[RecentTimes, RecentTimes], int]:
        """Of users and of items, and how many had come in by then."""
        arrived, came = self.state.newer()
        times = RecentTimes(), RecentTimes()
        _add(times, came or ())
        return times, arrived


def _add(times: tuple[RecentTimes, RecentTimes], came: Iterable[Arrival]) -> None:
    rows = [(_key(user), item, at, received) for user, item, at, received in came]
    keys, items, at_us, received_us = np.array(rows, np.int64).reshape(-1, 4).T
    known = items > 0
    times[0].add(keys, at_us, received_us)
    times[1].add(items[known], at_us[known], received_us[known])


def _key(user: bytes) -> int:
    """Of a user's digest."""
    return int.from_bytes(user[:8], "big", signed=True)
