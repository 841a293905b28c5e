from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.histories import HistoryStore, Received, bisect

N_USERS, LAST = 5, 8
event = st.tuples(st.integers(1, N_USERS - 1), st.integers(1, 99), st.integers(0, LAST))
events = st.lists(event, max_size=30)
late_events = st.lists(st.tuples(event, st.integers(0, 4)), max_size=30)
asked = st.lists(st.tuples(st.integers(-1, N_USERS + 2), st.integers(-1, LAST + 2)), max_size=10)


def store_of(rows):
    users, items, at_us = np.array(rows, np.int64).reshape(-1, 3).T
    return HistoryStore.from_events(users.astype(np.int32), items.astype(np.int32), at_us, N_USERS)


def slow_as_of(rows, user, at_us, newest=None):
    past = [(item, at) for who, item, at in sorted(rows, key=lambda row: row[2]) if who == user and at < at_us]
    return past[max(len(past) - newest, 0) :] if newest is not None else past


def check(store, rows, questions, newest):
    users, at_us = np.array(questions, np.int64).reshape(-1, 2).T
    found = store.as_of(users.astype(np.int32), at_us, newest)
    assert len(found) == len(questions)
    for row, (user, at) in enumerate(questions):
        inside = slice(found.offsets[row], found.offsets[row + 1])
        pairs = list(zip(found.items[inside].tolist(), found.at_us[inside].tolist(), strict=True))
        assert pairs == slow_as_of(rows, user, at, newest)


@given(events, asked, st.one_of(st.none(), st.integers(0, 4)))
def test_as_of_agrees_with_looking_through_all_events(rows, questions, newest):
    check(store_of(rows), rows, questions, newest)


def store_received(rows, delays):
    """The rows in the order of time, each known so many microseconds after it happened."""
    store = store_of(rows)
    users, _, at_us = np.array(rows, np.int64).reshape(-1, 3).T
    known_us = (at_us + np.array(delays, np.int64))[np.lexsort((np.arange(len(rows)), at_us, users))]
    offsets = store.events.offsets
    settled = [np.maximum.accumulate(known_us[start:stop]) for start, stop in pairwise(offsets)]
    return HistoryStore(store.events, received=Received(known_us, np.concatenate([np.zeros(0, np.int64), *settled])))


@given(late_events, asked, st.one_of(st.none(), st.integers(0, 4)))
def test_what_had_not_been_received_is_no_part_of_a_history(rows, questions, newest):
    """Against looking through all events: those that had happened and come in, in the order they happened, the newest last."""
    store = store_received([row for row, _ in rows], [delay for _, delay in rows])
    users, at_us = np.array(questions, np.int64).reshape(-1, 2).T
    found = store.as_of(users.astype(np.int32), at_us, newest)
    for row, (user, at) in enumerate(questions):
        known = [one for one, delay in rows if one[2] + delay < at]
        inside = slice(found.offsets[row], found.offsets[row + 1])
        pairs = list(zip(found.items[inside].tolist(), found.at_us[inside].tolist(), strict=True))
        assert pairs == slow_as_of(known, user, at, newest)


def test_when_events_were_received_is_kept_with_them_and_goes_with_other_times(tmp_path):
    store = store_received([(1, 5, 3), (1, 6, 4)], [9, 0])
    store.save(tmp_path)
    loaded = HistoryStore.load(tmp_path)
    assert loaded.as_of(np.array([1], np.int32), np.array([10])).items.tolist() == [6]
    loaded.retimed(np.array([1, 2])).save_times(tmp_path)
    assert HistoryStore.load(tmp_path).as_of(np.array([1], np.int32), np.array([10])).items.tolist() == [5, 6]


def test_a_memory_mapped_store_answers_alike(tmp_path):
    rows = [(1, 5, 3), (1, 6, 3), (2, 7, 0), (4, 8, 8), (1, 9, 1)]
    store_of(rows).save(tmp_path)
    store = HistoryStore.load(tmp_path)
    assert isinstance(store.events.items.base, np.memmap)
    questions = [(user, at) for user in range(-1, 7) for at in range(10)]
    check(store, rows, questions, None)
    check(store, rows, questions, 1)
    assert not isinstance(store.as_of(np.array([1], np.int32), np.array([9])).items, np.memmap)


def test_an_empty_store_is_kept_too(tmp_path):
    store_of([]).save(tmp_path)
    check(HistoryStore.load(tmp_path), [], [(1, 5), (0, 0)], None)


def test_a_shuffle_orders_ties_alone():
    users, items, at_us = np.full(4, 1, np.int32), np.array([1, 2, 3, 4], np.int32), np.array([7, 7, 5, 7])
    store = HistoryStore.from_events(users, items, at_us, 2, shuffle=np.array([2, 0, 9, 1]))
    assert store.events.items.tolist() == [3, 2, 4, 1]


@given(st.lists(st.lists(st.integers(0, 5), max_size=9).map(sorted), min_size=1, max_size=5), st.integers(-1, 6))
def test_bisect_agrees_with_counting(rows, at):
    times = np.array([time for row in rows for time in row], np.int64)
    ends = np.cumsum([len(row) for row in rows])
    starts = np.concatenate([[0], ends[:-1]])
    found = bisect(times, starts, ends, np.full(len(rows), at))
    assert (found - starts).tolist() == [sum(time < at for time in row) for row in rows]
