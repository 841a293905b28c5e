"""What each split hands out, and that nothing held back reaches what is learned from."""

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.data.clocks import write_clock
from headrace.data.holdouts import ByUser, GlobalTemporal, LeaveLast, Split
from headrace.data.log import Log
from tests.data.tables import some_events, write_tables

CATALOGUE: dict[str, list[Any]] = {"item_id": [f"i{n}" for n in range(15)], "valid_from": [0] * 15}
NAMES = [f"u{n}" for n in range(12)]
PEOPLE: dict[str, list[Any]] = {"user_id": NAMES, "valid_from": [0] * 12, "age": [20.0 + n for n in range(12)]}
SPLITS: list[Split] = [GlobalTemporal(valid_share=0.2, test_share=0.2), LeaveLast(), ByUser(valid_share=0.25, test_share=0.25)]
by_name = pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)


def log_of(folder, rows):
    return Log.from_tables(write_tables(folder, rows, CATALOGUE, PEOPLE))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return log_of(tmp_path_factory.mktemp("log"), some_events())


def triples(log, history, users=None):
    rows = history.rows() if users is None else users[history.rows()]
    return sorted(zip(log.users.decode(rows), log.items.decode(history.items), history.at_us.tolist(), strict=True))


def handed_out(held):
    features = held.features()
    train = held.train(features)
    return {
        **{f"{name}": getattr(train.history, name) for name in ("offsets", "items", "at_us")},
        "available": train.available, "cut": np.array(train.cut_us), **train.features,
        "ages": np.array([features.sizes.get("user.age", 0)]),
    }  # fmt: skip


@by_name
def test_train_validation_and_test_are_the_log_once(log, split):
    held = split.of(log)
    parts = [triples(log, held.train().history)]
    for requests, answers in (held.valid(unseen_only=False), held.test(unseen_only=False)):
        assert (answers.at_us == requests.at_us[answers.rows()]).all()
        assert (requests.history.at_us < requests.at_us[requests.history.rows()]).all()
        assert len(set(requests.ids.tolist())) == len(requests)
        parts.append(triples(log, answers, requests.users))
    assert all(parts)
    assert sorted(chain.from_iterable(parts)) == sorted(some_events())
    assert triples(log, held.refit().history) == sorted(parts[0] + parts[1])
    requests, answers = held.test()
    for row in range(len(requests)):
        past = requests.history.items[requests.history.offsets[row] : requests.history.offsets[row + 1]]
        assert not set(past) & set(answers.items[answers.offsets[row] : answers.offsets[row + 1]])


def test_leave_last_holds_back_whole_steps(log):
    held = LeaveLast().of(log)
    for requests, _ in (held.valid(unseen_only=False), held.test(unseen_only=False)):
        assert len(requests) == len(set(requests.users.tolist())) == 12
    times = {user: sorted({at for who, _, at in some_events() if who == user}) for user in log.users.ids}
    requests, answers = held.test(unseen_only=False)
    assert dict(zip(log.users.decode(requests.users), requests.at_us.tolist(), strict=True)) == {
        user: at[-1] for user, at in times.items()
    }
    wanted = sorted((user, item, at) for user, item, at in some_events() if at == times[user][-1])
    assert triples(log, answers, requests.users) == wanted
    assert "what others did later is learned from" in held.describes


def test_leave_last_in_file_order_cuts_ties(tmp_path):
    rows = [("u", f"i{n}", 5) for n in (3, 1, 2, 9, 4)] + [("v", "i1", 1), ("v", "i2", 2)]
    log = log_of(tmp_path / "log", rows)
    held = LeaveLast(ties="file_order").of(log)
    requests, answers = held.test()
    assert log.items.decode(answers.items) == ["i4"]
    assert log.items.decode(requests.history.items) == ["i3", "i1", "i2", "i9"]
    assert log.items.decode(held.valid()[1].items) == ["i9"]
    assert triples(log, held.train().history) == sorted([*rows[:3], *rows[5:]])
    assert "file's order" in held.describes
    whole = LeaveLast().of(log)
    assert triples(log, whole.train().history) == sorted(rows), "one step is not enough to hold two back"
    assert not len(whole.test()[0])


def test_held_out_users_stay_outside(log, tmp_path):
    held = ByUser(valid_share=0.25, test_share=0.25).of(log)
    learned = {user for user, _, _ in triples(log, held.train().history)}
    asked = {name: set(log.users.decode(requests.users)) for name, (requests, _) in
             (("valid", held.valid()), ("test", held.test()))}  # fmt: skip
    assert not learned & (asked["valid"] | asked["test"])
    assert not asked["valid"] & asked["test"]
    assert learned | asked["valid"] | asked["test"] == set(log.users.ids)
    fewer = [row for row in some_events() if row[0] != "u3"]
    other = ByUser(valid_share=0.25, test_share=0.25).of(log_of(tmp_path / "fewer", fewer))
    assert {user for user, _, _ in triples(other.log, other.train().history)} == learned - {"u3"}


changes = st.permutations(range(15))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(renamed=changes, seed=st.integers(0, 9))
@by_name
def test_whatever_is_held_back_changes_nothing_learned(log, tmp_path_factory, split, renamed, seed):
    """Every held-back event gets another item, and the rows another order."""
    held = split.of(log)
    learned = triples(log, held.train().history)
    rows, left = [], list(learned)
    for row in sorted(some_events()):
        if row in left:
            left.remove(row)
            rows.append(row)
        else:
            user, item, at = row
            rows.append((user, f"i{renamed[int(item[1:])]}", at))
    shuffled = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    other = split.of(log_of(tmp_path_factory.mktemp("changed"), shuffled))
    one, two = handed_out(held), handed_out(other)
    assert all(np.array_equal(values, two[name]) for name, values in one.items())


def test_ages_of_held_out_users_move_no_bin(log, tmp_path):
    held = SPLITS[2].of(log)
    outside = set(log.users.decode(np.flatnonzero(held.outside).astype(np.int32)))
    ages = [age + 500 * (user in outside) for user, age in zip(PEOPLE["user_id"], PEOPLE["age"], strict=True)]
    other = SPLITS[2].of(Log.from_tables(write_tables(tmp_path / "log", some_events(), CATALOGUE, {**PEOPLE, "age": ages})))
    learned = np.flatnonzero(~held.outside).astype(np.int32)
    at_us = np.full(len(learned), 60)
    codes = [split.features().users_at(learned, at_us)["user.age"].tolist() for split in (held, other)]
    assert codes[0] == codes[1]
    moved = [split.log.features(60).users_at(learned, at_us)["user.age"].tolist() for split in (held, other)]
    assert moved[0] != moved[1], "the test would see it"


def test_ordinal_logs_refuse_what_needs_times(tmp_path):
    log = log_of(tmp_path / "log", some_events())
    write_clock(log.tables, "ordinal")
    log = Log.from_tables(log.tables)
    with pytest.raises(DataError, match="A split by time needs times, but the log's clock is ordinal.*leave-last or by user"):
        GlobalTemporal().of(log)
    held = LeaveLast().of(log)
    assert held.train(held.features()).available[1:].all()
    (log.tables / "clock.json").write_text('{"clock": "sundial"}')
    with pytest.raises(DataError, match="sundial"):
        Log.from_tables(log.tables)


@pytest.mark.parametrize("split", SPLITS[:1])
def test_a_log_of_one_moment_can_not_be_cut(tmp_path, split):
    with pytest.raises(DataError, match="needs 3 windows"):
        split.of(log_of(tmp_path / "log", [("u", f"i{n}", 5) for n in range(9)]))
