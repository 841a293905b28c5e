import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.nn.interest_sums import InterestSums


def events_of(seed, n, dim=3):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 5, n), np.sort(draw.integers(0, 9, n)), draw.normal(size=(n, dim))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 30))
def test_in_parts_it_is_what_it_is_at_once(seed, n, cut):
    leaves, at_us, values = events_of(seed, n)
    whole = InterestSums.none(3).updated(leaves, at_us, values)
    parts = InterestSums.none(3).updated(leaves[:cut], at_us[:cut], values[:cut])
    parts = parts.updated(leaves[cut:], at_us[cut:], values[cut:])
    for name, array in whole.arrays().items():
        np.testing.assert_allclose(parts.arrays()[name], array, atol=1e-12, err_msg=name)
    assert whole.events == n == whole.votes.sum()
    for leaf, votes, newest, mean in zip(whole.leaves, whole.votes, whole.newest, whole.means[0], strict=True):
        own = np.flatnonzero(leaves == leaf)
        if len(own):
            assert (votes, newest) == (len(own), own[-1])
            np.testing.assert_allclose(mean, values[own].mean(0), atol=1e-6)
    assert whole.ballot.votes.sum() == (leaves > 0).sum(), "events without a leaf have no say"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_without_the_oldest_it_is_of_the_rest_alone(seed, n, gone, since):
    """To the bit: values are float32, their sums float64."""
    leaves, at_us, values = events_of(seed, n + since)
    values = values.astype(np.float32)
    gone = min(gone, n + since)
    sums = InterestSums.none(3).updated(leaves[:n], at_us[:n], values[:n]).updated(leaves[n:], at_us[n:], values[n:])
    sums = sums.less(leaves[:gone], values[:gone])
    wanted = InterestSums.none(3).updated(leaves[gone:], at_us[gone:], values[gone:])
    assert (sums.leaves.tolist(), sums.votes.tolist(), sums.events) == (
        wanted.leaves.tolist(), wanted.votes.tolist(), wanted.events,
    )  # fmt: skip
    np.testing.assert_array_equal(sums.sums, wanted.sums)
    there = wanted.votes > 0
    np.testing.assert_array_equal(sums.newest[there], wanted.newest[there])


def test_events_out_of_order_are_named():
    sums = InterestSums.none(1).updated(np.array([1, 2]), np.array([10**15, 2 * 10**15]), np.ones((2, 1)))
    with pytest.raises(DataError, match=r"1 of 1 are older .* at place 0, 2017-07-14T02:40:00\+00:00 after 2033-05-18"):
        sums.updated(np.array([1]), np.array([15 * 10**14]), np.ones((1, 1)))
    with pytest.raises(DataError, match=r"1 of 3 are older than the one before, the first at place 1"):
        InterestSums.none(1).updated(np.array([1, 2, 3]), np.array([5, 4, 6]), np.ones((3, 1)))
    assert sums.updated(np.array([3]), np.array([2 * 10**15]), np.ones((1, 1))).events == 3, "at the same moment is in order"


def test_it_is_stored_and_read_back():
    sums = InterestSums.none(3).updated(*events_of(1, 20))
    again = InterestSums.from_arrays(sums.arrays())
    assert (again.events, again.newest_us) == (20, sums.newest_us)
    assert again.nbytes == sums.nbytes == 8 * (len(sums.leaves) * (3 + 3) + 2)
    assert np.array_equal(again.sums, sums.sums)
