import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.counts import DAY_US, SIZE, Counts, ItemTimes
from headrace.data.histories import HistoryStore

event = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(0, 12))


def counts_of(rows, folder=None, at_once=4):
    users, items, days = np.array(rows, np.int64).reshape(-1, 3).T
    store = HistoryStore.from_events(users.astype(np.int32), items.astype(np.int32), days * DAY_US, 4)
    return Counts(store, ItemTimes.of(store.events, 5, folder, at_once=at_once))


def code(count):
    return min(1 + int(np.log2(1 + count)), SIZE - 1)


@given(st.lists(event, max_size=30), st.integers(0, 13), st.sampled_from([1, 3, 30]))
def test_they_are_the_events_of_the_window(rows, day, window):
    counts = counts_of(rows)
    moment = np.array([day * DAY_US])
    for user in (1, 2, 3):
        n = sum(who == user and day - window <= at < day for who, _, at in rows)
        assert counts.of_users(np.array([user], np.int32), moment, window).tolist() == [code(n)]
    wanted = [code(sum(what == item and day - window <= at < day for _, what, at in rows)) for item in (1, 2, 3, 4)]
    assert counts.of_items(np.array([[1, 2, 3, 4]], np.int32), moment, window).tolist() == [wanted]


def test_what_is_unknown_has_code_zero():
    counts = counts_of([(1, 1, 0)])
    assert counts.of_users(np.array([0, 9, -1, 2], np.int32), np.full(4, DAY_US), 1).tolist() == [0, 0, 0, 1]
    assert counts.of_items(np.array([[0, 99, 2, 1]], np.int32), np.array([DAY_US]), 1).tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6, 7, 8, 2**30 - 1, 2**30])
def test_codes_double(n):
    assert min(int(np.frexp(1.0 + n)[1]), SIZE - 1) == min((n + 1).bit_length(), SIZE - 1)


def test_item_times_are_the_store_turned_round_in_bounded_pieces(tmp_path):
    draw = np.random.default_rng(0)
    rows = np.stack([draw.integers(1, 4, 200), draw.integers(1, 5, 200), draw.integers(0, 50, 200)], 1)
    whole, mapped = counts_of(rows, at_once=1000).items, counts_of(rows, tmp_path, at_once=7).items
    assert isinstance(mapped.at_us, np.memmap)
    assert np.array_equal(whole.at_us, mapped.at_us)
    for item in range(5):
        mine = mapped.at_us[mapped.offsets[item] : mapped.offsets[item + 1]]
        assert mine.tolist() == sorted(at * DAY_US for _, what, at in rows.tolist() if what == item)


def test_a_log_without_events_counts_none(tmp_path):
    counts = counts_of([], tmp_path)
    assert counts.of_items(np.array([[1]], np.int32), np.array([0]), 7).tolist() == [[1]]
