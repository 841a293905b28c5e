import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.data import recent_counts
from headrace.data.counts import DAY_US
from headrace.data.recent_counts import RecentTimes

event = st.tuples(st.integers(-2, 3), st.integers(0, 9), st.integers(0, 3))


def added(rows):
    return (np.array(part, np.int64) for part in (rows[:, 0], rows[:, 1] * DAY_US, (rows[:, 1] + rows[:, 2]) * DAY_US + 1))


@pytest.mark.parametrize("unsorted", [0, 3, 4096])
@given(pieces=st.lists(st.lists(event, max_size=12), max_size=6), day=st.integers(0, 14), days=st.sampled_from([1, 4, 30]))
def test_they_are_the_events_that_had_happened_and_been_heard_of(unsorted, pieces, day, days):
    """Keys -2 to 3, times and delays in days; added piece by piece, so that some come out of order."""
    kept, recent_counts._UNSORTED = recent_counts._UNSORTED, unsorted
    try:
        times = RecentTimes()
        for piece in pieces:
            times.add(*added(np.array(piece, np.int64).reshape(-1, 3)))
        rows = [row for piece in pieces for row in piece]
        assert len(times) == len(rows)
        keys = np.arange(-3, 5)
        wanted = [sum(k == key and day - days <= at < day and at + late < day for k, at, late in rows) for key in keys]
        assert times.count(keys, day * DAY_US, days).tolist() == wanted
    finally:
        recent_counts._UNSORTED = kept


def test_many_are_sorted_now_and_then(monkeypatch):
    monkeypatch.setattr(recent_counts, "_UNSORTED", 50)
    draw, times = np.random.default_rng(0), RecentTimes()
    keys, at_us = draw.integers(0, 5, 4000), np.sort(draw.integers(0, 30 * DAY_US, 4000))
    for start in range(0, 4000, 37):
        piece = slice(start, start + 37)
        times.add(keys[piece], at_us[piece], at_us[piece])
        moment = int(at_us[piece][-1]) + 1
        since = (at_us[: start + 37] >= moment - 7 * DAY_US) & (at_us[: start + 37] < moment)
        found = times.count(np.arange(5), moment, 7)
        assert found.tolist() == np.bincount(keys[: start + 37][since], minlength=5).tolist()
    times.clear()
    assert times.count(np.arange(5), 30 * DAY_US, 30).tolist() == [0] * 5
