import numpy as np
import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.kinds import Kind
from headrace.data.history_build import build_histories
from headrace.data.log import Log
from tests.data.tables import some_events, write_tables


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path / "log", some_events())


def in_parts(tables):
    """The same events as three parts, each user's in one."""
    events = pl.read_parquet(tables / "events.parquet")
    (tables / "events").mkdir()
    for part in range(3):
        mine = events.filter(pl.col("user_id").str.slice(1).cast(pl.Int32) % 3 == part)
        mine.write_parquet(tables / "events" / f"part-{part:05d}.parquet")
    (tables / "events.parquet").unlink()


def same(one, other):
    return all(np.array_equal(getattr(one.events, name), getattr(other.events, name)) for name in ("offsets", "items", "at_us"))


def test_parts_and_memory_mapped_files_give_the_same_store(tables, tmp_path):
    whole = Log.from_tables(tables)
    in_parts(tables)
    assert same(whole.store, Log.from_tables(tables).store)
    folder = tmp_path / "histories"
    folder.mkdir()
    mapped = Log.from_tables(tables, histories=folder).store
    assert same(whole.store, mapped)
    assert isinstance(mapped.events.at_us.base, np.memmap)
    for part in (tables / "events").iterdir():
        part.unlink()
    assert same(whole.store, Log.from_tables(tables, histories=folder).store), "found, not worked out again"


def test_late_events_are_known_from_when_they_were_received(tables, tmp_path):
    """As if each had happened then, but in the order in which they did; in parts and mapped as in memory."""
    events = pl.read_parquet(tables / "events.parquet")
    delay_us = pl.Series(np.random.default_rng(0).integers(0, 20, len(events)) * (np.arange(len(events)) % 3 == 0))
    late = events.with_columns(received_at=(pl.col("at").dt.timestamp("us") + delay_us).cast(events.schema["at"]))
    late = late.with_columns(received_at=pl.when(delay_us > 0).then("received_at"))
    late.write_parquet(tables / "events.parquet")
    whole = Log.from_tables(tables)
    users, moments = np.repeat(np.arange(1, 13, dtype=np.int32), 20), np.tile(np.arange(0, 60, 3), 12)
    found = whole.store.as_of(users, moments, 4)
    happened = [(row, item, at) for row, item, at in zip(found.rows(), found.items, found.at_us, strict=True)]
    assert len(happened) > 100
    rows = late.with_columns(at=pl.col("at").dt.timestamp("us"), known=pl.col("received_at").dt.timestamp("us").fill_null(-1))
    for place, (user, moment) in enumerate(zip(whole.users.decode(users), moments.tolist(), strict=True)):
        mine = rows.filter(pl.col("user_id") == user, pl.col("at") < moment, pl.col("known") < moment).sort("at")
        assert sorted(found.at_us[found.offsets[place] : found.offsets[place + 1]]) == mine["at"].tail(4).to_list()
    assert len(whole.interactions(30).history.items) == len(rows.filter(pl.col("at") < 30, pl.col("known") < 30))
    in_parts(tables)
    folder = tmp_path / "histories"
    folder.mkdir()
    mapped = Log.from_tables(tables, histories=folder).store
    assert same(whole.store, mapped)
    assert mapped.received is not None
    assert whole.store.received is not None
    assert np.array_equal(mapped.received.settled_us, whole.store.received.settled_us)
    assert (folder / "known_us.npy").is_file()


def test_events_received_as_they_happened_need_no_more_than_their_times(tables, tmp_path):
    events = pl.read_parquet(tables / "events.parquet")
    events.with_columns(received_at=pl.col("at")).write_parquet(tables / "events.parquet")
    (tmp_path / "histories").mkdir()
    store = Log.from_tables(tables, histories=tmp_path / "histories").store
    assert store.received is None
    assert not (tmp_path / "histories" / "known_us.npy").exists()


def test_file_order_keeps_ties_as_the_tables_have_them(tmp_path):
    rows = [("u", f"i{item}", 5) for item in range(30)]
    log = Log.from_tables(write_tables(tmp_path / "log", rows))
    store = build_histories(log.tables, log.users, log.items, {}, 0, file_order=True)
    assert log.items.decode(store.events.items) == [item for _, item, _ in rows]
    assert log.items.decode(log.store.events.items) != [item for _, item, _ in rows]


def test_a_log_without_a_positive_event_is_an_empty_store(tables, tmp_path):
    log = Log.from_tables(tables)
    folder = tmp_path / "none"
    folder.mkdir()
    store = build_histories(tables, log.users, log.items, {"buy": Kind()}, 0, folder)
    assert len(store.events) == len(log.users)
    assert not len(store.events.items)


def test_tables_without_events_say_so(tmp_path):
    write_tables(tmp_path / "log", [("u", "a", 1)])
    (tmp_path / "log" / "events.parquet").unlink()
    with pytest.raises(DataError, match=r"holds no events: expected events.parquet, or events/part-\*"):
        Log.from_tables(tmp_path / "log")
