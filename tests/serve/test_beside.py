"""Several builds over one upper layer: each has the histories of the whole log, whatever its own holds of it."""

import numpy as np
import polars as pl
import pytest

from headrace.data.log import Log
from headrace.serve.state.counting import OnlineCounting
from headrace.serve.state.layered import LayeredState
from tests.data.tables import some_events, write_tables
from tests.serve.state.test_layered import LAST_US, N_EVENTS, assert_same, events_of, row, split

CUTS = (10, 20, 30)


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))


@pytest.fixture
def logs(tables, tmp_path):
    """The log as of three moments."""
    return [split(tables, tmp_path, cut)[0] for cut in CUTS]


@pytest.fixture
def later(tables, tmp_path):
    """What came in since the first of them."""
    return events_of(tables).filter(pl.col("at").dt.timestamp("us") >= CUTS[0])


@pytest.fixture
def state(logs, tmp_path):
    (tmp_path / "state").mkdir()
    made = LayeredState(tmp_path / "state", logs[0], "0", map_gb=0.1)
    made.rebuild([])
    yield made
    for view in list(made.views):
        view.close()


def above(state):
    with state.reading() as reading:
        return reading.stat(state.tables["newer"])["entries"]


def held(state, events):
    return int(state.known.holds(events["event_id"].to_list()).sum())


def knows_all(state, tables, newest=None):
    """Of every user at every moment; who has the most events above has some in both layers."""
    whole = Log.from_tables(tables)
    moments = np.arange(CUTS[-1], LAST_US + 2)
    users, at_us = np.repeat(np.arange(1, 13, dtype=np.int32), len(moments)), np.tile(moments, 12)
    names = [str(name) for name in whole.users.decode(users)]
    assert_same(state.history(names, at_us, newest), whole.store.as_of(users, at_us, newest))


def test_each_leaves_out_what_its_own_log_holds(state, logs, later, tables):
    state.append(later.head(150))
    views = [state, *(state.beside(log, str(number)) for number, log in enumerate(logs[1:], 1))]
    for view in views[1:]:
        view.rebuild([later.head(150)])
    state.append(later.slice(150, 60))
    views[2].append(later.slice(210))
    for view in views:
        for newest in (None, 5):
            knows_all(view, tables, newest)
        assert not view.append(later).any(), "whoever took it in first"
    assert above(state) == len(later)
    assert len({held(view, later) for view in views}) == 3


def test_what_all_that_stay_open_have_read_is_taken_out(state, logs, later, tables, tmp_path):
    state.append(later)
    second = state.beside(logs[1], "1")
    second.rebuild([later])
    state.close()
    knows_all(second, tables)
    assert above(second) == len(later) - held(second, later) < len(later)
    second.close()
    again = LayeredState(tmp_path / "state", logs[1], "1", map_gb=0.1)
    assert not again.stale
    knows_all(again, tables)
    again.close()


def test_killed_before_it_took_out_what_nobody_needs_it_left_nothing_wrong(state, logs, later, tables, tmp_path, monkeypatch):
    state.append(later)
    second = state.beside(logs[1], "1")
    second.rebuild([later])
    with monkeypatch.context() as killed:
        killed.setattr(LayeredState, "_prune", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            state.close()
    knows_all(second, tables)
    second.close()
    again = LayeredState(tmp_path / "state", logs[0], "0", map_gb=0.1)
    assert again.stale, "while it was closed, what it lacks may have come in"
    again.rebuild([])
    again.close()
    again = LayeredState(tmp_path / "state", logs[0], "0", map_gb=0.1)
    assert not again.stale
    knows_all(again, tables)
    again.close()


def test_one_that_is_open_twice_is_whole_until_both_are_closed(state, logs, later, tables):
    state.append(later)
    same = state.beside(logs[0], "0")
    assert not same.stale
    second = state.beside(logs[1], "1")
    assert second.stale
    second.rebuild([])
    state.close()
    assert above(second) == len(later)
    knows_all(same, tables)
    same.close()
    assert above(second) == len(later) - held(second, later)
    assert second.beside(logs[0], "0").stale


def test_gone_back_to_a_build_gets_back_what_was_taken_out(state, logs, later, tables):
    state.append(later)
    keys, _ = state.pending()
    state.written(keys)
    second = state.beside(logs[2], "2")
    second.rebuild([later])
    state.close()
    first = second.beside(logs[0], "0")
    first.rebuild([later.head(100), later.slice(100)])
    for view in (first, second):
        knows_all(view, tables)
    assert above(first) == len(later)
    assert not first.append(later).any()


def test_an_event_that_one_log_holds_is_new_to_the_other_alone(state, logs, later, tables):
    second = state.beside(logs[1], "1")
    second.rebuild([])
    held = later.filter(pl.Series(second.known.holds(later["event_id"].to_list())))
    assert not second.append(held).any()
    assert len(second.pending()[0]) == 0
    state.append(later)
    for view in (state, second):
        knows_all(view, tables)


def test_each_counts_what_is_above_its_own_log(state, logs, later, tables):
    first = OnlineCounting(state, logs[0].counts)
    state.append(later.head(100))
    second_view = state.beside(logs[2], "2")
    second_view.rebuild([later.head(100)])
    second = OnlineCounting(second_view, logs[2].counts)
    state.append(later.slice(100))
    names = [str(name) for name in logs[2].users.ids]
    at = np.full(len(names), LAST_US + 1)
    whole = Log.from_tables(tables)
    expected = whole.counts.of_users(whole.users.encode(names), at, 1)
    for counting in (first, second):
        np.testing.assert_array_equal(counting.of(names).of_users(counting.state.numbers(names), at, 1), expected)


def test_an_erased_user_is_nobody_in_all_of_them(state, logs, later):
    state.append(later)
    second = state.beside(logs[1], "1")
    second.rebuild([later])
    second.forget("u1")
    assert state.history(["u1"], np.array([LAST_US])).lengths.tolist() == [0]
    assert not state.append(row("u1", "i3", LAST_US, "back")).any()
