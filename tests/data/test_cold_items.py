import numpy as np
import pytest

from headrace.data.cold_items import ColdItems
from headrace.data.log import Log
from headrace.data.ring import write_ring


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ring")
    write_ring(folder, users=60, steps=10, items=40)
    return Log.from_tables(folder)


@pytest.fixture(scope="module")
def held(log):
    return ColdItems(share=0.2).of(log)


def test_hidden_items_are_in_no_history_and_no_warm_answer(held):
    assert 3 < held.hidden.sum() < 16
    assert not held.hidden[0]
    for requests, answers in (held.valid(), held.test()):
        assert len(requests) > 30
        assert not held.hidden[answers.items].any()
        assert not held.hidden[requests.history.items].any()
    assert not held.hidden[held.refit().history.items].any()


def test_a_cold_answer_is_a_users_last_hidden_item_after_all_that_is_kept(held, log):
    requests, answers = held.cold
    assert len(requests) == len(answers) > 20
    assert held.hidden[answers.items].all()
    assert (answers.lengths > 0).all()
    kept, events = held.log.store.events, log.store.events
    for row, user in enumerate(requests.users.tolist()):
        own = kept.take(np.array([user]))
        assert requests.history.take(np.array([row])).items.tolist() == own.items.tolist()
        assert (own.at_us < requests.at_us[row]).all()
        whole = events.take(np.array([user]))
        hidden = held.hidden[whole.items]
        assert whole.at_us[hidden].max() == requests.at_us[row]
        last = whole.items[hidden & (whole.at_us == requests.at_us[row])]
        assert sorted(answers.take(np.array([row])).items.tolist()) == sorted(last.tolist())
        assert len(np.unique(own.at_us)) >= 4


def test_the_rest_lose_hidden_items_alone(held, log):
    others = np.setdiff1d(np.arange(len(log.users)), held.cold[0].users)
    for user in others.tolist():
        whole = log.store.events.take(np.array([user])).items
        assert held.log.store.events.take(np.array([user])).items.tolist() == whole[~held.hidden[whole]].tolist()


def test_nobody_learns_from_what_is_asked(held):
    """The warm question's history is what was learned from and the validation; the cold one's has the warm answer too."""
    warm, answers = held.test()
    cold = held.cold[0]
    trained, refit = held.train().history, held.refit().history
    for row, user in enumerate(warm.users.tolist()):
        asked = warm.history.take(np.array([row])).items.tolist()
        assert asked == refit.take(np.array([user])).items.tolist()
        assert len(trained.take(np.array([user])).items) < len(asked)
        if user in cold.users:
            place = np.flatnonzero(cold.users == user)
            assert cold.history.take(place).items.tolist() == asked + answers.take(np.array([row])).items.tolist()
    assert "items are hidden" in held.describes
