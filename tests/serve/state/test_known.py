import numpy as np
import polars as pl

from headrace.serve.state.known import KnownEvents
from tests.data.tables import some_events, write_tables


def test_the_log_s_ids_are_known_and_no_others(tmp_path):
    tables = write_tables(tmp_path / "tables", some_events())
    known = KnownEvents.of(tables, tmp_path / "known.npy")
    ids = pl.read_parquet(tables / "events.parquet")["event_id"].to_list()
    assert known.holds(ids).all()
    assert not known.holds([f"another {one}" for one in ids]).any()
    np.testing.assert_array_equal(KnownEvents.of(tables, tmp_path / "known.npy").hashes, known.hashes)


def test_nothing_is_known_of_an_empty_log():
    assert KnownEvents(np.zeros(0, np.uint64)).holds(["a"]).tolist() == [False]
