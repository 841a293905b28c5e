"""No row of a user who refuses training, as of the cut, reaches what is learned from."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.data.consent import Impersonal, refusing_users
from headrace.data.holdouts import ByUser, LeaveLast
from headrace.data.log import Log
from tests.data.tables import some_events, write_tables

CUT = 40


def log_with(folder, consents):
    """consents: (user, valid from, consent) rows."""
    names = ("user_id", "valid_from", "consent_train")
    users = {name: [row[place] for row in consents] for place, name in enumerate(names)}
    users["city"] = [f"city of {user}" for user in users["user_id"]]
    return Log.from_tables(write_tables(folder, some_events(), users=users))


@pytest.mark.parametrize(
    ("rows", "refuses"),
    [
        ([("u1", 0, False)], True),
        ([("u1", 0, True)], False),
        ([("u1", 0, True), ("u1", 39, False)], True),
        ([("u1", 0, True), ("u1", 40, False)], False),
        ([("u1", 0, False), ("u1", 20, True)], False),
        ([("u1", 50, False)], True),
        ([], False),
    ],
)
def test_the_row_that_holds_before_the_cut_decides(tmp_path, rows, refuses):
    log = log_with(tmp_path / "log", rows)
    assert refusing_users(log.tables, CUT)["user_id"].to_list() == (["u1"] if refuses else [])


row = st.tuples(st.sampled_from([f"u{n}" for n in range(12)]), st.integers(0, 60), st.booleans())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(row, max_size=14, unique_by=lambda one: one[:2]))
def test_nothing_of_a_user_who_refuses_is_learned_from(tmp_path_factory, rows):
    log = log_with(tmp_path_factory.mktemp("log"), rows)
    refusing = set(refusing_users(log.tables, CUT)["user_id"])
    features = log.features(CUT)
    made = log.interactions(CUT, features)
    learned = set(log.users.decode(made.history.rows().astype(np.int32)))
    assert learned == {user for user, _, at in some_events() if at < CUT} - refusing
    requests, _ = log.steps(0, CUT)
    assert not refusing & set(log.users.decode(requests.users))
    cities = {user for user, since, _ in rows if user not in refusing and since < CUT}
    assert features.sizes.get("user.city", 1) == len(cities) + 1, "their columns fit nothing either"


def test_splits_neither_learn_from_them_nor_ask_for_them(tmp_path):
    log = log_with(tmp_path / "log", [("u1", 0, False), ("u2", 0, False)])
    for split in (LeaveLast(), ByUser(test_share=0.4)):
        held = split.of(log)
        for users in (held.train().history.rows(), held.refit().history.rows(), held.valid()[0].users, held.test()[0].users):
            assert not {"u1", "u2"} & set(log.users.decode(np.asarray(users, np.int32)))


@pytest.mark.parametrize(
    ("rows", "at_us", "holds"),
    [
        ([("u1", 0, False)], 40, True),
        ([("u1", 0, True)], 40, False),
        ([("u1", 0, True), ("u1", 39, False)], 40, True),
        ([("u1", 0, True), ("u1", 39, False)], 39, False),
        ([("u1", 0, False), ("u1", 20, True)], 40, False),
        ([("u1", 50, False)], 40, True),
        ([("u2", 0, False)], 40, False),
        ([], 40, False),
    ],
)
def test_who_may_not_be_personalised_for(tmp_path, rows, at_us, holds):
    names = ("user_id", "valid_from", "consent_personalise")
    users = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    log = Log.from_tables(write_tables(tmp_path / "log", some_events(), users=users))
    assert Impersonal(log.tables).holds("u1", at_us) == holds


def test_all_who_refuse_to_be_personalised_for_at_a_moment(tmp_path):
    users = {"user_id": ["u1", "u1", "u2", "u3"], "valid_from": [0, 30, 0, 50], "consent_personalise": [False, True, True, False]}
    found = Impersonal(write_tables(tmp_path / "log", some_events(), users=users))
    assert [sorted(found.users(at_us)) for at_us in (20, 60)] == [["u1", "u3"], ["u3"]]
