"""Steps in place of times: no step is cut, nothing past a cut is handed out, and held-out users stay outside."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.data.histories import HistoryStore
from headrace.data.holdouts import LeaveLast
from headrace.data.log import Log
from headrace.data.splits import SplitConfig
from headrace.data.step_clock import END_US, cuts_of, held_out, step_times
from tests.data.tables import some_events, write_tables

LEAVE_LAST = SplitConfig(kind="leave_last")
BY_USER = SplitConfig(kind="by_user", test_share=0.4)
N_USERS = 8
rows = st.lists(st.tuples(st.integers(1, N_USERS - 1), st.integers(1, 9), st.integers(0, 6)), max_size=60)


def store_of(rows):
    users, items, at_us = (np.array(column, np.int64) for column in zip(*rows, strict=True)) if rows else [np.zeros(0, int)] * 3
    return HistoryStore.from_events(users.astype(np.int32), items.astype(np.int32), at_us, N_USERS)


def by_user(store, times):
    """Each user's (time, step) pairs, in the store's order."""
    bounds = store.events.offsets.tolist()
    return {
        user: list(zip(store.events.at_us[start:end].tolist(), times[start:end].tolist(), strict=True))
        for user, (start, end) in enumerate(pairwise(bounds))
    }


@given(rows=rows, held=st.lists(st.booleans(), min_size=N_USERS, max_size=N_USERS) | st.none())
def test_a_step_is_never_cut_and_order_is_kept(rows, held):
    store = store_of(rows)
    times = step_times(store.events, None if held is None else np.array(held))
    for pairs in by_user(store, times).values():
        assert [step for _, step in pairs] == sorted(step for _, step in pairs)
        assert len(set(pairs)) == len({at for at, _ in pairs}) == len({step for _, step in pairs})
        steps = sorted({step for _, step in pairs})
        assert steps == list(range(steps[0], steps[0] + len(steps))) if steps else True


@given(rows=rows)
def test_leave_last_windows_hold_the_last_steps(rows):
    store = store_of(rows)
    stepped = store.retimed(step_times(store.events))
    for user, pairs in by_user(store, stepped.events.at_us).items():
        real = sorted({at for at, _ in pairs})
        for before_us, left in ((END_US, 1), (END_US - 1, 2), (END_US - 2, 3), (END_US - 3, 4)):
            learned = store.events.at_us[store.events.offsets[user] : stepped.places(before_us)[user]]
            kept = real if len(real) < 3 else real[: max(len(real) - left, 0)]
            assert sorted(set(learned.tolist())) == kept, "fewer than three steps are all learned from"
        asked = store.events.at_us[stepped.places(END_US)[user] : store.events.offsets[user + 1]]
        assert set(asked.tolist()) == (set(real[-1:]) if len(real) >= 3 else set())


@given(rows=rows, held=st.lists(st.booleans(), min_size=N_USERS, max_size=N_USERS))
def test_no_event_of_a_held_out_user_is_before_a_cut(rows, held):
    store = store_of(rows)
    times = step_times(store.events, np.array(held))
    for user, pairs in by_user(store, times).items():
        steps = [step for _, step in pairs]
        if held[user]:
            assert all(step > END_US for step in steps), "nothing is learned from them"
            last = {at for at, step in pairs if step == 2 * END_US}
            assert last == ({pairs[-1][0]} if len(set(steps)) >= 3 else set())
        else:
            assert all(step < END_US for step in steps), "nobody else is asked"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return Log.from_tables(write_tables(tmp_path_factory.mktemp("log"), some_events()))


def on_steps(log, split):
    times = step_times(log.store.events, held_out(log, split))
    return Log(log.users, log.items, log.store.retimed(times), log.tables, log.seed, clock="ordinal")


def test_the_cascade_asks_and_learns_what_leave_last_holds_back_and_hands_out(log):
    held, stepped = LeaveLast().of(log), on_steps(log, LEAVE_LAST)
    cuts = cuts_of(stepped, LEAVE_LAST)
    requests, answers = stepped.steps(cuts.asked_us, cuts.last_us + 1)
    theirs, their_answers = held.test()
    mine, other = np.argsort(requests.users), np.argsort(theirs.users)
    assert requests.users[mine].tolist() == theirs.users[other].tolist()
    assert requests.history.take(mine).items.tolist() == theirs.history.take(other).items.tolist()
    assert answers.take(mine).items.tolist() == their_answers.take(other).items.tolist()
    assert stepped.interactions(cuts.test_us).history.items.tolist() == held.refit().history.items.tolist()
    assert stepped.interactions(cuts.rank_us).history.items.tolist() == held.train().history.items.tolist()


def test_by_user_asks_held_out_users_alone(log):
    stepped = on_steps(log, BY_USER)
    cuts, held = cuts_of(stepped, BY_USER), held_out(log, BY_USER)
    learned = stepped.interactions(cuts.test_us).history
    requests, _ = stepped.steps(cuts.asked_us, cuts.last_us + 1, unseen_only=False)
    assert held is not None
    assert set(requests.users.tolist()) == set(np.flatnonzero(held[1:]) + 1)
    assert not learned.lengths[held].any()
    assert learned.lengths[1:][~held[1:]].tolist() == log.store.events.lengths[1:][~held[1:]].tolist(), "all else is learned"
    assert (requests.history.lengths < log.store.events.lengths[requests.users]).all()


def test_what_is_known_of_an_item_or_user_without_times(tmp_path):
    """Features as first known: a later row may be of after the step. May be shown, may be learned from: as last known."""
    items = {"item_id": ["i0", "i0", "i1"], "valid_from": [0, 40, 0], "colour": ["red", "blue", "blue"],
             "available": [True, False, True]}  # fmt: skip
    users = {"user_id": ["u0", "u0"], "valid_from": [0, 40], "consent_train": [True, False]}
    log = on_steps(Log.from_tables(write_tables(tmp_path / "log", some_events(), items, users)), LEAVE_LAST)
    number = {name: int(log.items.encode([name])[0]) for name in ("i0", "i1")}
    colours = log.features(END_US).items_at(END_US)["item.colour"]
    assert colours[number["i0"]] != colours[number["i1"]]
    assert log.available(END_US)[list(number.values())].tolist() == [False, True]
    assert np.flatnonzero(log.refusing(END_US)).tolist() == log.users.encode(["u0"]).tolist()


@pytest.mark.parametrize("split", [LEAVE_LAST, BY_USER])
def test_a_log_of_too_few_steps_is_refused(tmp_path, split):
    rows = [(f"u{user}", f"i{at}", at) for user in range(9) for at in range(2)]
    log = on_steps(Log.from_tables(write_tables(tmp_path / "log", rows)), split)
    with pytest.raises(DataError, match=f"{split.kind} needs users of at least"):
        cuts_of(log, split)


def test_windows_in_words(log):
    cuts = cuts_of(on_steps(log, LEAVE_LAST), LEAVE_LAST)
    assert cuts.says(cuts.asked_us, cuts.last_us + 1) == "each user's last step"
    assert cuts.says(cuts.prerank_us, cuts.test_us) == "each user's third last to second last steps"
    cuts = cuts_of(on_steps(log, BY_USER), BY_USER)
    assert cuts.says(cuts.asked_us, cuts.last_us + 1) == "each held-out user's last step"
    assert cuts.says(cuts.rank_us, cuts.test_us) == "each user's last step"
    assert cuts.says(cuts.valid_us, cuts.prerank_us) == "each user's third last step"
