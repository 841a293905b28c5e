from typing import Any

import numpy as np
import polars as pl
import pytest

from headrace.contracts.batch import Field
from headrace.contracts.errors import DataError
from headrace.contracts.kinds import Kind
from headrace.data.log import Log
from headrace.data.rank_inputs import user_batch
from tests.data.tables import some_events, write_tables

CUT = 40
CATALOGUE: dict[str, list[Any]] = {
    "item_id": [f"i{n}" for n in range(15)],
    "valid_from": [0] * 15,
    "colour": ["red", "blue", "red"] * 5,
}
PEOPLE: dict[str, list[Any]] = {
    "user_id": [f"u{n}" for n in range(12)],
    "valid_from": [0] * 12,
    "age": [20.0 + n for n in range(12)],
}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return Log.from_tables(write_tables(tmp_path_factory.mktemp("log"), some_events(), CATALOGUE, PEOPLE))


def test_interactions_are_the_events_before_the_cut(log):
    wanted = sorted((user, item, at) for user, item, at in some_events() if at < CUT)
    made = log.interactions(CUT)
    users = log.users.decode(made.history.rows())
    items = log.items.decode(made.history.items)
    assert sorted(zip(users, items, made.history.at_us.tolist(), strict=True)) == wanted
    assert made.history.lengths[0] == 0


@pytest.mark.parametrize("window", [(0, CUT), (CUT, 60), (13, 14)])
def test_a_step_is_a_users_events_at_one_moment(log, window):
    requests, answers = log.steps(*window, unseen_only=False)
    wanted: dict[tuple[str, int], list[str]] = {}
    for user, item, at in some_events():
        if window[0] <= at < window[1]:
            wanted.setdefault((user, at), []).append(item)
    found = {
        (log.users.decode([user])[0], int(at)): sorted(log.items.decode(answers.items[start:stop]))
        for user, at, start, stop in zip(requests.users, requests.at_us, answers.offsets[:-1], answers.offsets[1:], strict=True)
    }
    assert found == {step: sorted(items) for step, items in wanted.items()}
    assert (np.diff(requests.at_us) >= 0).all()
    assert len(set(requests.ids.tolist())) == len(requests)


def test_histories_end_strictly_before_their_request(log):
    requests, _ = log.steps(0, 60)
    assert (requests.history.at_us < requests.at_us[requests.history.rows()]).all()
    everything = {(user, at): sum(1 for who, _, t in some_events() if who == user and t < at) for user, _, at in some_events()}
    for row, length in enumerate(requests.history.lengths):
        assert length == everything[log.users.decode(requests.users[row : row + 1])[0], int(requests.at_us[row])]
    short, _ = log.steps(0, 60, newest=2)
    assert short.history.lengths.max() == 2


@pytest.mark.parametrize("start", [0, 25, 50])
def test_seen_items_are_no_answers(log, start):
    requests, answers = log.steps(start, 60)
    seen = set()
    wanted = []
    for at, user, item in sorted((at, user, item) for user, item, at in some_events()):
        if (user, item) not in seen:
            seen.add((user, item))
            wanted += [(user, at, item)] if at >= start else []
    rows = answers.rows()
    found = zip(
        log.users.decode(requests.users[rows]), requests.at_us[rows].tolist(), log.items.decode(answers.items), strict=True
    )
    assert sorted(found) == sorted(wanted)
    assert (answers.lengths > 0).all()


def test_a_limit_is_a_seeded_sample_in_time_order(log):
    (some, answers), (again, _), (everything, _) = (log.steps(0, 60, limit=limit) for limit in (9, 9, None))
    assert len(some) == len(answers) == 9
    assert some.ids.tolist() == again.ids.tolist()
    assert some.ids.tolist() == [name for name in everything.ids.tolist() if name in set(some.ids.tolist())]
    assert some.ids.tolist() != everything.ids.tolist()[:9]


def inputs(log):
    """All that a model is given as of the cut: interactions, features, and the requests up to it as a ranker reads them."""
    features = log.features(CUT)
    made = log.interactions(CUT, features)
    requests, answers = log.steps(0, CUT)
    schema = {"history": Field("int64", ("rows", 4)), "user.age": Field("int64", ("rows",))}
    read = user_batch(
        type(requests)(
            requests.ids, requests.users, requests.at_us, requests.history, features.users_at(requests.users, requests.at_us)
        ),
        schema,
    )
    named = {
        **{f"history.{name}": getattr(made.history, name) for name in ("offsets", "items", "at_us")},
        **made.features,
        **{f"read.{name}": tensor.numpy() for name, tensor in read.items()},
        "available": made.available,
        "answers": answers.items,
        "ids": requests.ids,
    }
    return named | {f"features.{name}": values for name, values in features.arrays().items() if "size." in name}


def same(one, other):
    return {name: bool(np.array_equal(values, other[name])) for name, values in one.items()}


@pytest.mark.parametrize("change", ["later events permuted", "later events gone", "rows in another order"])
def test_the_future_changes_nothing_as_of_the_cut(log, tmp_path, change):
    before, after = ([row for row in some_events() if (row[2] < CUT) == early] for early in (True, False))
    assert len(after) > 20
    items = [item for _, item, _ in after]
    changed = {
        "later events permuted": [row for row in some_events() if row[2] < CUT]
        + [(user, item, at) for (user, _, at), item in zip(after[::-1], items, strict=True)],
        "later events gone": before,
        "rows in another order": some_events()[::-1],
    }[change]
    other = Log.from_tables(write_tables(tmp_path / "log", changed, CATALOGUE, PEOPLE))
    assert all(same(inputs(log), inputs(other)).values()), same(inputs(log), inputs(other))
    if change != "rows in another order":
        assert not np.array_equal(log.store.events.items, other.store.events.items)


def test_later_rows_of_the_tables_change_nothing_as_of_the_cut(log, tmp_path):
    items = {name: [*values, late] for (name, values), late in zip(CATALOGUE.items(), ("i3", CUT, "green"), strict=True)}
    users = {name: [*values, late] for (name, values), late in zip(PEOPLE.items(), ("u3", CUT, 900.0), strict=True)}
    other = Log.from_tables(write_tables(tmp_path / "log", some_events(), items, users))
    assert all(same(inputs(log), inputs(other)).values()), same(inputs(log), inputs(other))


def test_order_inside_a_step_is_drawn(tmp_path):
    rows = [(f"u{user}", f"i{item}", 5) for user in range(40) for item in range(5)]
    log = Log.from_tables(write_tables(tmp_path / "log", rows))
    orders = {tuple(log.store.events.items[5 * user : 5 * user + 5].tolist()) for user in range(40)}
    assert len(orders) > 20
    other = Log.from_tables(tmp_path / "log", seed=1)
    assert not np.array_equal(log.store.events.items, other.store.events.items)
    assert log.tied_share == 1.0
    assert (
        Log.from_tables(write_tables(tmp_path / "two", [("u", "a", 1), ("u", "b", 1), ("u", "c", 2), ("v", "a", 2)])).tied_share
        == 0.5
    )


def test_availability_is_that_of_the_moment(tmp_path):
    items = {"item_id": ["a", "a", "b"], "valid_from": [0, 20, 10], "available": [True, False, True]}
    log = Log.from_tables(write_tables(tmp_path / "log", [("u", "a", 1), ("u", "b", 30)], items))
    found = {at: log.items.decode(np.flatnonzero(log.available(at)).astype(np.int32)) for at in (0, 5, 11, 21)}
    assert found == {0: [], 5: ["a"], 11: ["a", "b"], 21: ["b"]}


def test_only_positive_kinds_are_learned_from(tmp_path):
    folder = write_tables(tmp_path / "log", [("u", "a", 1, "buy"), ("u", "b", 2, "hide"), ("u", "c", 3, "view")])
    kinds = {"buy": Kind(), "hide": Kind(polarity="negative"), "view": Kind(polarity="neutral")}
    log = Log.from_tables(folder, kinds)
    assert log.items.decode(log.store.events.items) == ["a"]
    with pytest.raises(DataError, match="none of hide is positive"):
        Log.from_tables(folder, {"hide": kinds["hide"]})


def test_tables_hold_utc(tmp_path):
    write_tables(tmp_path / "log", [("u", "a", 1)])
    assert pl.read_parquet(tmp_path / "log" / "events.parquet")["at"].dtype == pl.Datetime("us", "UTC")
