"""Of counts as of a moment: the events that had happened by then and had not been received.

    n = events of a key with at - days <= time < at and received at `at` or later

They are taken off what was counted by the times events happened: offline, a count is then what it would have been at that moment.
Only events that were received late are held, each key's by time. Cost: two bisections, then as many array steps as a key has
late events within the longest delay before the moment.
"""

from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Int32, Int64
from headrace.data.histories import HistoryStore, bisect

_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class LateTimes:
    """Key k's are [offsets[k] : offsets[k + 1]] of at_us and known_us. longest_us: the longest delay."""

    offsets: Int64
    at_us: Int64
    known_us: Int64
    longest_us: int

    @classmethod
    def of(cls, keys: Int32 | Int64, at_us: Int64, known_us: Int64, n_keys: int) -> "LateTimes":
        order = np.lexsort((at_us, keys))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=n_keys))])
        return cls(offsets, at_us[order], known_us[order], int((known_us - at_us).max(initial=0)))

    def unheard(self, keys: Int32 | Int64, at_us: Int64, days: int) -> Int64:
        """[n], of each key as of its moment."""
        since = at_us - min(days * _DAY_US, self.longest_us)
        stop = bisect(self.at_us, self.offsets[keys], self.offsets[keys + 1], at_us)
        start = bisect(self.at_us, self.offsets[keys], stop, since)
        found = np.zeros(len(at_us), np.int64)
        for step in range(int((stop - start).max(initial=0))):
            place = np.minimum(start + step, len(self.at_us) - 1)
            found += (start + step < stop) & (self.known_us[place] >= at_us)
        return found


def late_of(store: HistoryStore, n_items: int) -> tuple[LateTimes, LateTimes] | None:
    """By users and by items; None where every event was known when it happened."""
    events, received = store.events, store.received
    if received is None:
        return None
    late = np.flatnonzero(received.known_us > events.at_us)
    users = np.searchsorted(events.offsets, late, side="right") - 1
    times = events.at_us[late], received.known_us[late]
    return LateTimes.of(users, *times, len(events)), LateTimes.of(events.items[late], *times, n_items)
