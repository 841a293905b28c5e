"""What is counted while serving is what a build from the same events counts."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from headrace.cascade.run import open_run
from headrace.contracts.rng import rng
from headrace.contracts.serving import ServeConfig
from headrace.contracts.tables import EVENTS, TIME
from headrace.data.counts import DAY_US
from headrace.data.log import Log
from headrace.data.rank_inputs import candidate_batch, pairs_in
from headrace.serve.asked import Asked
from headrace.serve.messages import Event
from headrace.serve.scorers.kept_states import WHO
from headrace.serve.service import Service
from headrace.serve.state.counting import OnlineCounting
from headrace.serve.state.layered import LayeredState
from tests.data.tables import write_tables

ITEMS = {"item_id": [f"i{n}" for n in range(12)], "valid_from": [0] * 12}
BUILT = 20 * DAY_US


def rows_of(n=300):
    draw = rng(0, "counted")
    at = np.sort(draw.integers(0, 40 * DAY_US, n))
    return [(f"u{draw.integers(15)}", f"i{draw.integers(12)}", moment) for moment in at.tolist()]


def frame(rows, received_us=None):
    received = received_us or [at + 1 for *_, at in rows]
    made = pl.DataFrame(rows, schema=["user_id", "item_id", "at"], orient="row")
    ids = [f"e{user}{item}{at}" for user, item, at in rows]
    made = made.with_columns(
        event_id=pl.Series(ids), kind=pl.lit("view"), at=pl.col("at").cast(TIME), received_at=pl.Series(received).cast(TIME)
    )
    missing = [pl.lit(None, column.dtype).alias(column.name) for column in EVENTS.columns if column.name not in made.columns]
    return made.with_columns(missing).select(EVENTS.names)


def layered(folder, rows):
    (folder / "state").mkdir(parents=True)
    log = Log.from_tables(write_tables(folder / "log", rows, ITEMS))
    return LayeredState(folder / "state", log, "key", map_gb=0.01), log


def test_log_below_and_state_above_count_as_one_log_of_both(tmp_path):
    rows = rows_of()
    whole = Log.from_tables(write_tables(tmp_path / "whole", rows, ITEMS))
    state, log = layered(tmp_path, [row for row in rows if row[2] < BUILT])
    above = [row for row in rows if row[2] >= BUILT]
    state.append(frame(above[:40]))
    counting = OnlineCounting(state, log.counts)  # some were there when it started, the others come in while it runs
    for start in range(40, len(above), 7):
        state.append(frame(above[start : start + 7]))
    users, items = [f"u{n}" for n in range(15)], [f"i{n}" for n in range(12)]
    for moment in (BUILT, 23 * DAY_US + 5, 30 * DAY_US, 39 * DAY_US):
        at_us = np.full(15, moment)
        online = counting.of(users)
        for days in (1, 7, 30):
            found = online.of_users(log.users.encode(users), at_us, days)
            np.testing.assert_array_equal(found, whole.counts.of_users(whole.users.encode(users), at_us, days))
            asked, known = (np.array([one.items.encode(items)]) for one in (log, whole))
            found = online.of_items(asked, at_us[:1], days)
            np.testing.assert_array_equal(found, whole.counts.of_items(known, at_us[:1], days))
            assert found.max() > 1
    state.close()


def test_what_came_in_later_has_no_say_in_an_answer_worked_out_again(tmp_path):
    state, log = layered(tmp_path, [("u1", "i1", 5)])
    counting, at = OnlineCounting(state, log.counts), np.array([10 * DAY_US])
    asked = log.items.encode(["i1"])[None]
    before = counting.of(["u1"]).of_items(asked, at, 30).tolist()
    state.append(frame([("u1", "i1", 7)], received_us=[11 * DAY_US]))
    assert counting.of(["u1"]).of_items(asked, at, 30).tolist() == before
    assert counting.of(["u1"]).of_items(asked, at + 2 * DAY_US, 30).tolist() == [[2]]
    assert counting.of(["u1"]).of_users(log.users.encode(["u1"]), at, 30).tolist() == [2]
    state.append(frame([("u1", "i1", 7)], received_us=[11 * DAY_US]))
    assert counting.of(["u1"]).of_items(asked, at + 2 * DAY_US, 30).tolist() == [[2]], "sent again, it is counted once"
    state.close()


def test_who_lags_behind_what_is_kept_in_order_reads_all_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.serve.state.upper.ARRIVALS", 5)
    state, log = layered(tmp_path, [("u1", "i1", 5)])
    counting, at = OnlineCounting(state, log.counts), np.array([9 * DAY_US])
    for number, several in enumerate((5, 6, 1, 0, 30)):
        state.append(frame([("u1", "i1", 100 * number + n) for n in range(10, 10 + several)]))
        arrived = state.arrived
        anew = state.newer(arrived - several)[1] is None
        assert anew == (several > 5)
        found = counting.of(["u1"])
        assert found.users.count(np.array(found.asked), at[0], 30).tolist() == [arrived]
        assert found.items.count(log.items.encode(["i1"]).astype(np.int64), at[0], 30).tolist() == [arrived]
    with state.reading() as reading:
        assert reading.stat(state.tables["arrived"])["entries"] == 5
    state.close()


def test_an_erased_user_is_counted_no_more(tmp_path):
    state, log = layered(tmp_path, [("u1", "i1", 5)])
    counting, at = OnlineCounting(state, log.counts), np.array([9])
    state.append(frame([("u1", "i1", 6), ("new", "i1", 6), ("new", "i1", 7)]))
    assert counting.of(["u1", "new", None]).of_users(np.array([1, 0, 0], np.int32), at.repeat(3), 1).tolist() == [2, 2, 1]
    state.forget("u1")
    assert counting.of(["u1"]).of_users(state.numbers(["u1"]), at, 1).tolist() == [1]
    state.close()


def test_a_served_request_carries_what_the_ranker_learned_from(rich, tmp_path):
    """Of 50 past moments, user's and candidates' features as the pipeline has them; and the next answer after an event."""
    pipeline = open_run(rich)
    service = Service(pipeline, tmp_path, ServeConfig(runtime="torch"))
    rank = service.cascade.scorings[-1].scorer
    names = pairs_in(rank.candidate_schema)
    assert len(names) == 3
    draw = rng(0, "moments")
    moments = draw.integers(pipeline.log.store.events.at_us.min(), pipeline.cuts.last_us, 50)
    for user, at_us in zip(draw.integers(40, size=50).tolist(), moments.tolist(), strict=True):
        online = service.requests(Asked("r", f"c{user}", at_us, 0, 4))
        offline = pipeline.requests_of(pipeline.log.users.encode([f"c{user}"]), np.array([at_us]), ids=["r"])
        assert online.features.keys() - {WHO} == offline.features.keys()
        assert all(np.array_equal(online.features[name], codes) for name, codes in offline.features.items())
        served, learned = service.cascade.recall(online), pipeline.cascade().recall(offline)
        left, right = (candidate_batch(one, list(one.scores), names) for one in (served, learned))
        assert all(left[name].equal(right[name]) for name in ("items", *names))
    asked = Asked("r", "c1", pipeline.cuts.last_us + 1, 0, 4)
    before = service.requests(asked).features["user.count_2d"]
    item = service.names.ids[1]
    late = [
        Event(user_id="c1", item_id=item, at=datetime(2024, 6, 1, tzinfo=UTC), event_id=f"e{n}", kind="view") for n in range(20)
    ]
    service.receive(late)
    now = Asked("r2", "c1", service.now_us(), 0, 4)
    assert np.array_equal(service.requests(asked).features["user.count_2d"], before), "as of then, nothing has changed"
    soon = Asked("r3", "c1", int(np.datetime64("2024-06-02", "us").astype(np.int64)), 0, 4)
    assert service.counting is not None
    assert service.counting.of(["c1"]).of_items(np.array([[1]], np.int32), np.array([soon.at_us]), 2).tolist() == [[1]], (
        "in June 2024 nobody had told us"
    )
    year = service.counting.of(["c1"]).of_items(np.array([[1]], np.int32), np.array([now.at_us]), 100_000)
    assert year.tolist()[0][0] > before.max()
    service.close()
