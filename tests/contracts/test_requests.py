import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.requests import Allowed, Candidates
from headrace.testing.examples import history_of, some_requests

row_lists = st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=6)


def rows_of(history):
    """The slow way to read a history: (item, time) pairs a row."""
    pairs = list(zip(history.items.tolist(), history.at_us.tolist(), strict=True))
    return [pairs[start:stop] for start, stop in zip(history.offsets[:-1], history.offsets[1:], strict=True)]


@given(row_lists, st.integers(1, 8))
def test_last_agrees_with_slicing(rows, k):
    wanted = [row[-k:] + [0] * (k - len(row[-k:])) for row in rows]
    assert history_of(rows).last(k).tolist() == wanted


@given(row_lists, st.integers(0, 8))
def test_newest_agrees_with_slicing(rows, k):
    history = history_of(rows)
    assert rows_of(history.newest(k)) == [row[-k:] if k else [] for row in rows_of(history)]


@given(row_lists, st.data())
def test_take_agrees_with_picking(rows, data):
    history = history_of(rows)
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    assert rows_of(history.take(np.array(places, np.int64))) == [rows_of(history)[place] for place in places]
    kept = np.array([place % 2 == 0 for place in range(len(rows))])
    assert rows_of(history.take(kept)) == rows_of(history)[::2]


def test_rows_name_the_row_of_each_event():
    assert history_of([[3], [], [1, 2]]).rows().tolist() == [0, 2, 2]


def test_chunks_are_the_requests_in_order():
    requests = some_requests(7)
    parts = list(requests.chunks(3))
    assert [len(part) for _, part in parts] == [3, 3, 1]
    assert [name for _, part in parts for name in part.ids] == requests.ids.tolist()
    for rows, part in parts:
        assert rows_of(part.history) == rows_of(requests.history)[rows]


def test_masks_hold_what_may_not_be_proposed():
    allowed = Allowed(np.array([True, True, False, True]), history_of([[3], [], [1, 2, 1]]))
    masked = allowed.mask(np.ones((3, 4), np.float32))
    assert (masked > 0).tolist() == [[False, True, False, False], [False, True, False, True], [False, False, False, True]]


def test_masks_pass_over_items_of_a_catalogue_that_has_grown():
    allowed = Allowed(np.array([True, True, True, True, True]), history_of([[1, 4, 99]]))
    assert (allowed.mask(np.ones((1, 3), np.float32)) > 0).tolist() == [[False, False, True]]


def test_top_sorts_by_a_stage_and_keeps_ties_in_order():
    items = np.array([[5, 6, 7, 8, 0]], np.int32)
    scores = {"one": np.array([[4, 3, 2, 1, np.nan]], np.float32), "two": np.array([[1, 2, 2, 3, np.nan]], np.float32)}
    best = Candidates(items, scores).top("two", 3)
    assert best.items.tolist() == [[8, 6, 7]]
    assert best.scores["one"].tolist() == [[1, 3, 2]]
    assert Candidates(items, scores).top("two", 9).items.tolist() == [[8, 6, 7, 5, 0]]


@given(row_lists, st.integers(1, 8), st.integers(0, 5))
def test_a_row_alone_is_what_it_is_among_others(rows, k, row):
    history, row = history_of(rows), row % len(rows)
    alone = history.take(np.array([row]))
    assert alone.last_at_us(k).tolist() == history.last_at_us(k)[[row]].tolist()
    assert rows_of(alone.newest(k)) == rows_of(history.newest(k))[row : row + 1]
    some = np.ones((len(rows), 10), np.float32)
    allowed = Allowed(np.arange(10) % 3 > 0, history)
    assert allowed.take(np.array([row])).mask(some[[row]].copy()).tolist() == allowed.mask(some)[[row]].tolist()


def test_top_of_one_is_what_it_is_among_others():
    scores = np.array([[2, np.nan, 2, 5, 1], [0, 1, 1, np.nan, 7]], np.float32)
    held = Candidates(
        np.array([[1, 2, 3, 4, 0], [6, 7, 8, 9, 5]], np.int32), {"s": scores}, {"f": np.arange(20).reshape(2, 5, 2)}
    )
    for row in range(2):
        alone, among = held.take([row]).top("s", 4), held.top("s", 4).take([row])
        assert alone.items.tolist() == among.items.tolist()
        assert np.array_equal(alone.scores["s"], among.scores["s"], equal_nan=True)
        assert alone.features["f"].tolist() == among.features["f"].tolist()
        assert held.top("s", 5).first(4).items[row].tolist() == among.items[0].tolist()
