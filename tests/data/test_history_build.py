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
    assert isinstance(mapped.events.at_us, np.memmap)
    for part in (tables / "events").iterdir():
        part.unlink()
    assert same(whole.store, Log.from_tables(tables, histories=folder).store), "found, not worked out again"


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
