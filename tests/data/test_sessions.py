import numpy as np
from hypothesis import given
from hypothesis.strategies import integers, lists

from headrace.data.sessions import GAP_US, session_offsets

MINUTE_US = 60_000_000


def test_half_an_hour_is_still_the_same_session():
    at_us = np.array([0, 30, 61, 61, 200]) * MINUTE_US
    assert session_offsets(at_us).tolist() == [0, 2, 4, 5]


@given(lists(integers(0, 100), max_size=20))
def test_every_event_is_in_one_session_and_gaps_are_where_they_end(minutes):
    at_us = np.sort(np.array(minutes, np.int64)) * MINUTE_US
    bounds = session_offsets(at_us)
    assert bounds[0] == 0
    assert bounds[-1] == len(at_us)
    far = np.diff(at_us) > GAP_US
    assert np.flatnonzero(far).tolist() == (bounds[1:-1] - 1).tolist()
