from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.requests import Allowed
from headrace.methods.retrieve.markov import Markov, MarkovConfig
from headrace.testing import check_closed_form, check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests

N_ITEMS = 7


def fitted(interactions, seed=0, **settings):
    made = Markov(MarkovConfig(**settings), seed=seed)
    made.fit(interactions)
    return made


def test_contract():
    check_closed_form(Markov(MarkovConfig()), some_interactions())
    check_retriever(fitted(some_interactions(), seed=3), some_requests(), n_items=20)
    check_retriever(fitted(some_interactions(), neighbours=2, shrink=0.0), some_requests(), n_items=20)


users_of_steps = st.lists(st.lists(st.lists(st.integers(1, N_ITEMS - 1), min_size=1, max_size=3), max_size=4), max_size=5)


@given(users_of_steps, st.sampled_from([0.0, 10.0]))
def test_it_agrees_with_counting(users, shrink):
    counts = np.zeros((N_ITEMS, N_ITEMS))
    for steps in users:
        for now, after in pairwise(steps):
            for i in now:
                for j in after:
                    counts[i, j] += 1
    rows = [[item for step in steps for item in step] for steps in users]
    times = [[place for place, step in enumerate(steps) for _ in step] for steps in users]
    found = fitted(interactions_of(rows, N_ITEMS, times), shrink=shrink).transitions.toarray()
    left = counts.sum(1, keepdims=True)
    assert found == pytest.approx(np.divide(counts, left + shrink, out=np.zeros_like(counts), where=left > 0))


def test_a_users_last_step_does_not_lead_to_the_next_users_first():
    assert fitted(interactions_of([[1], [2]], 4)).transitions.nnz == 0


def test_only_the_last_step_is_read():
    model = fitted(interactions_of([[1, 3], [2, 4], [5, 6]], N_ITEMS), shrink=0.0)
    past = history_of([[1, 2, 5]], [[0, 9, 9]])
    requests = replace(some_requests(1), history=past)
    found = model.retrieve(requests, 5, Allowed())
    assert set(found.items[0].tolist()) == {4, 6, 0}
    because = dict(zip(found.items[0].tolist(), model.because(requests, found.items)[0], strict=True))
    assert (because[4], because[6]) == (2, 5)


def test_rare_transitions_are_shrunk():
    rows = [[1, 2]] * 20 + [[3, 4]]
    model = fitted(interactions_of(rows, N_ITEMS), shrink=10.0)
    assert model.transitions[1, 2] == pytest.approx(20 / 30)
    assert model.transitions[3, 4] == pytest.approx(1 / 11)


def test_what_is_withdrawn_follows_nothing():
    interactions = interactions_of([[1, 2, 3]], 4)
    interactions.available[2] = False
    found = fitted(interactions).transitions.toarray()
    assert not found[:, 2].any()
    assert found[2, 3] > 0, "it still leads to others"
