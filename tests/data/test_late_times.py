"""What had not been received by a moment is in no count of it."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.counts import DAY_US, codes_of
from headrace.data.late_times import LateTimes, late_of
from headrace.data.log import Log
from tests.data.tables import some_events, write_tables

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 9)), max_size=40)


@given(rows, st.integers(0, 32), st.integers(1, 2))
def test_as_counted_one_by_one(late, hour, days):
    keys, at, delay = (np.array([row[place] for row in late], np.int64) for place in range(3))
    hours = DAY_US // 24
    held = LateTimes.of(keys, at * hours, (at + delay) * hours, 4)
    found = held.unheard(np.arange(4), np.full(4, hour * hours), days)
    expected = [
        sum(key == one and hour - 24 * days <= time < hour <= time + wait for one, time, wait in late) for key in range(4)
    ]
    assert found.tolist() == expected


def test_counts_of_a_log_leave_out_what_came_later(tmp_path):
    tables = write_tables(tmp_path / "tables", some_events(n=400, last_us=40))
    events = pl.read_parquet(tables / "events.parquet")
    assert late_of(Log.from_tables(tables).store, 1) is None
    delay = pl.Series(np.random.default_rng(1).integers(0, 15, 400) * (np.arange(400) % 3 == 0))
    happened = pl.col("at").dt.timestamp("us")
    late = events.with_columns(received_at=(happened + delay).cast(events.schema["at"]))
    late.write_parquet(tables / "events.parquet")
    log = Log.from_tables(tables)
    for moment in (5, 20, 39):
        known = late.filter(happened < moment, pl.col("received_at").dt.timestamp("us") < moment)
        for side, vocabulary in (("user_id", log.users), ("item_id", log.items)):
            names = [str(name) for name in vocabulary.ids]
            per = dict(known.group_by(side).len().iter_rows())
            expected = codes_of(np.array([per.get(name, 0) for name in names]), np.ones(len(names), np.bool_))
            numbers = vocabulary.encode(names)
            if side == "user_id":
                found = log.counts.of_users(numbers, np.full(len(numbers), moment), 1)
            else:
                found = log.counts.of_items(numbers[None], np.array([moment]), 1)[0]
            there = numbers > 0
            np.testing.assert_array_equal(found[there], expected[there])
        assert len(known) < len(late.filter(happened < moment)) or moment < 6
