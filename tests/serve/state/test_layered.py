import threading

import numpy as np
import polars as pl
import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.kinds import Kind
from headrace.contracts.requests import Int64
from headrace.contracts.tables import EVENTS
from headrace.data.log import Log
from headrace.data.shape import in_shape
from headrace.serve.state.database import Database
from headrace.serve.state.layered import LayeredState, OnlineState
from tests.data.tables import some_events, write_tables

N_EVENTS = 400
LAST_US = 40  # few moments, so most events of a user share theirs with another


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def events_of(tables):
    return pl.read_parquet(tables / "events.parquet").with_columns(received_at=pl.col("at"))


def split(tables, tmp_path, at_us):
    """The log as it stood at a moment, with everybody's numbers, and the events since."""
    events = events_of(tables)
    later = pl.col("at").dt.timestamp("us") >= at_us
    early = tmp_path / f"early-{at_us}"
    early.mkdir()
    for side in ("items", "users"):
        pl.read_parquet(tables / f"{side}.parquet").write_parquet(early / f"{side}.parquet")
    events.filter(~later).write_parquet(early / "events.parquet")
    return Log.from_tables(early), events.filter(later)


def assert_same(found, expected):
    for name in ("offsets", "items", "at_us"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("cut_us", [0, 15, 39])
@pytest.mark.parametrize("newest", [None, 5])
def test_online_is_offline_as_of_the_same_moment(tables, folder, tmp_path, cut_us, newest):
    whole, (early, later) = Log.from_tables(tables), split(tables, tmp_path, cut_us)
    state = LayeredState(folder, early, "k", map_gb=0.1)
    assert isinstance(state, OnlineState)
    state.append(later.sample(fraction=1.0, shuffle=True, seed=0))
    users, moments = (axis.ravel() for axis in np.meshgrid(np.arange(1, 13, dtype=np.int32), np.arange(cut_us, LAST_US + 2)))
    at_us: Int64 = moments.astype(np.int64)
    found = state.history([str(name) for name in whole.users.decode(users)], at_us, newest)
    assert_same(found, whole.store.as_of(users, at_us, newest))
    assert len(users) >= 36
    state.close()


def test_a_repeated_event_is_not_stored_twice(tables, folder, tmp_path):
    early, later = split(tables, tmp_path, 20)
    state = LayeredState(folder, early, "k", map_gb=0.1)
    assert state.append(later).all()
    before = state.history(["u1"], np.array([100]))
    assert not state.append(later).any()
    assert not state.append(events_of(tables).head(50)).any(), "the build has read these"
    assert_same(state.history(["u1"], np.array([100])), before)
    assert len(state.pending()[0]) == len(later)
    assert state.seen([later["event_id"][0], "0", "never"]).tolist() == [True, True, False]
    state.close()


def row(user, item, at_us, event_id, received_us=None, kind="view"):
    frame = pl.DataFrame(
        [(user, item, at_us, received_us or at_us, kind, event_id)],
        schema=["user_id", "item_id", "at", "received_at", "kind", "event_id"], orient="row",
    )  # fmt: skip
    return in_shape(frame.with_columns(pl.col("at", "received_at").cast(EVENTS.schema()["at"])), EVENTS)


def test_a_new_user_builds_a_history_and_an_unknown_item_is_only_logged(tables, folder):
    state = LayeredState(folder, Log.from_tables(tables), "k", map_gb=0.1)
    for number, item in enumerate(("i3", "never seen", "i4")):
        state.append(row("somebody new", item, 100 + number, f"e{number}"))
    found = state.history(["somebody new", "nobody"], np.array([200, 200]))
    assert found.lengths.tolist() == [2, 0]
    assert state.log.items.decode(found.items) == ["i3", "i4"]
    assert state.pending()[1]["item_id"].to_list() == ["i3", "never seen", "i4"]
    state.close()


def test_what_had_not_been_received_yet_was_not_known(tables, folder):
    state = LayeredState(folder, Log.from_tables(tables), "k", map_gb=0.1)
    state.append(row("new", "i3", 100, "late", received_us=150))
    assert state.history(["new"], np.array([140])).lengths.tolist() == [0]
    assert state.history(["new"], np.array([151])).lengths.tolist() == [1]
    state.close()


def test_only_positive_kinds_are_history(tables, folder):
    kinds = {"view": Kind(polarity="positive"), "hide": Kind(polarity="negative")}
    state = LayeredState(folder, Log.from_tables(tables, kinds), "k", map_gb=0.1)
    state.append(row("new", "i3", 100, "a", kind="hide"))
    state.append(row("new", "i4", 101, "b"))
    assert state.log.items.decode(state.history(["new"], np.array([200])).items) == ["i4"]
    assert len(state.pending()[0]) == 2
    state.close()


def test_a_user_is_forgotten_and_nobody_else(tables, folder):
    state = LayeredState(folder, Log.from_tables(tables), "k", map_gb=0.1)
    for number, user in enumerate(("new", "newer", "new")):
        state.append(row(user, "i3", 100 + number, f"e{number}"))
    assert state.forget("new") == 2
    assert state.history(["new", "newer"], np.array([200, 200])).lengths.tolist() == [0, 1]
    assert state.pending()[1]["user_id"].to_list() == ["newer"]
    assert not state.append(row("new", "i3", 300, "back")).any(), "nothing of theirs is taken in again"
    state.forget("u1")
    assert state.history(["u1", "u2"], np.array([200, 200])).lengths.tolist()[0] == 0, "the build below still knows them"
    assert state.history(["u2"], np.array([200])).lengths[0] > 0
    assert state.numbers(["u1", "u2"])[0] == 0
    state.rebuild([row("new", "i3", 100, "e0"), row("newer", "i4", 110, "e9")])
    assert state.history(["new", "newer"], np.array([200, 200])).lengths.tolist() == [0, 2]
    state.close()


def test_late_events_are_known_alike_online_and_offline(tables, folder, tmp_path):
    """A build that has read them, one that has them in its upper layer, and one half and half."""
    delay_us = pl.Series(np.random.default_rng(1).integers(0, 15, N_EVENTS) * (np.arange(N_EVENTS) % 4 == 0))
    happened = pl.col("at").dt.timestamp("us")
    late = events_of(tables).with_columns(received_at=(happened + delay_us).cast(EVENTS.schema()["at"]))
    late.write_parquet(tables / "events.parquet")
    early = tmp_path / "early"
    early.mkdir()
    for side in ("items", "users"):
        pl.read_parquet(tables / f"{side}.parquet").write_parquet(early / f"{side}.parquet")
    late.filter(happened < 20).write_parquet(early / "events.parquet")
    whole, state = Log.from_tables(tables), LayeredState(folder, Log.from_tables(early), "k", map_gb=0.1)
    state.append(late.filter(happened >= 20))
    moments = np.arange(0, LAST_US + 20)
    users, moments = np.repeat(np.arange(1, 13, dtype=np.int32), len(moments)), np.tile(moments, 12)
    for newest in (None, 5):
        found = state.history([str(name) for name in whole.users.decode(users)], moments, newest)
        assert_same(found, whole.store.as_of(users, moments, newest))
    assert whole.store.received is not None
    state.close()


def test_one_server_a_run(tables, folder):
    state = LayeredState(folder, Log.from_tables(tables), "k", map_gb=0.1)
    with pytest.raises(ConfigError, match="One server a run"):
        Database(folder, 0.1, sole=True)
    state.close()
    Database(folder, 0.1, sole=True).close()


def test_it_is_there_after_a_restart_and_a_build_that_read_it_takes_it_out(tables, folder, tmp_path):
    early, later = split(tables, tmp_path, 20)
    state = LayeredState(folder, early, "old", map_gb=0.1)
    state.rebuild([])
    state.append(later)
    state.append(row("new", "i3", 100, "served"))
    keys, pending = state.pending()
    state.written(keys)
    state.append(row("new", "i4", 101, "waits"))
    before = state.history(["u1", "new"], np.array([200, 200]))
    state.close()

    again = LayeredState(folder, early, "old", map_gb=0.1)
    assert not again.stale
    assert_same(again.history(["u1", "new"], np.array([200, 200])), before)
    again.close()

    rebuilt = LayeredState(folder, Log.from_tables(tables), "new", map_gb=0.1)
    assert rebuilt.stale
    rebuilt.rebuild([pending])
    assert_same(rebuilt.history(["u1", "new"], np.array([200, 200])), before)
    rebuilt.close()


def test_what_was_read_during_commits_is_read_again_as_of_the_same_moment(tables, folder):
    """A request that came while events were being committed; and who was told that theirs are kept reads them."""
    state = LayeredState(folder, Log.from_tables(tables), "k", map_gb=0.1)
    read, unread, ended = [], [], threading.Event()

    def asks():
        while not ended.is_set():
            at_us = state.moments.asked()
            read.append((at_us, int(state.history(["new"], np.array([at_us])).lengths[0])))
            ended.wait(0.0005)

    def tells(who):
        for number in range(1000):
            state.receive(row("new", "i3", number, f"{who} {number}"))
            mine = int(state.history(["new"], np.array([state.moments.asked()])).lengths[0])
            unread.extend([number] * (mine < number + 1))
            if number >= 25 and len({length for _, length in list(read)}) > 10:
                break

    asking = threading.Thread(target=asks)
    telling = [threading.Thread(target=tells, args=(who,)) for who in "abc"]
    for thread in (asking, *telling):
        thread.start()
    for thread in telling:
        thread.join()
    ended.set()
    asking.join()
    assert not unread
    again = [int(state.history(["new"], np.array([at_us])).lengths[0]) for at_us, _ in read]
    assert again == [length for _, length in read]
    assert len({length for _, length in read}) > 10
    state.close()
