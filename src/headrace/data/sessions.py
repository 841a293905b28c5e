"""Sessions: a user's events with no gap of more than 30 minutes between them, as the data contract has it.

    event t begins a session where at_t - at_(t-1) > gap, and the first event does

Shapes: at_us [T] in time order -> offsets [S + 1]; session s is [offsets[s], offsets[s + 1]). Cost O(T).
A `session_id` of the log's own is not looked at here: histories hold items and moments alone.
"""

import numpy as np

from headrace.contracts.requests import Int64

GAP_US = 30 * 60 * 1_000_000


def session_offsets(at_us: Int64, gap_us: int = GAP_US) -> Int64:
    """One user's."""
    if not len(at_us):
        return np.zeros(1, np.int64)
    found: Int64 = np.concatenate([[0], np.flatnonzero(np.diff(at_us) > gap_us) + 1, [len(at_us)]]).astype(np.int64)
    return found
