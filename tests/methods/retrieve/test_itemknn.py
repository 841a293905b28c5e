from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.requests import Allowed
from headrace.methods.retrieve.itemknn import ItemKNN, ItemKNNConfig
from headrace.testing import check_closed_form, check_retriever
from headrace.testing.examples import interactions_of, some_interactions, some_requests

N_ITEMS = 8


def fitted(interactions, seed=0, **settings):
    made = ItemKNN(ItemKNNConfig(**settings), seed=seed)
    made.fit(interactions)
    return made


def test_contract():
    check_closed_form(ItemKNN(ItemKNNConfig()), some_interactions())
    check_retriever(fitted(some_interactions(), seed=3), some_requests(), n_items=20)
    check_retriever(fitted(some_interactions(), neighbours=3, history=2), some_requests(), n_items=20)


def slow_similarity(rows, shrink):
    users = [{user for user, row in enumerate(rows) if item in row} for item in range(N_ITEMS)]
    dense = np.zeros((N_ITEMS, N_ITEMS))
    for i in range(1, N_ITEMS):
        for j in range(1, N_ITEMS):
            both = len(users[i] & users[j])
            if i != j and both:
                dense[i, j] = both / ((len(users[i]) * len(users[j])) ** 0.5 + shrink)
    return dense


rows_of_items = st.lists(st.lists(st.integers(1, N_ITEMS - 1), max_size=6), min_size=1, max_size=8)


@given(rows_of_items, st.sampled_from([0.0, 10.0]))
def test_it_agrees_with_the_formula(rows, shrink):
    found = fitted(interactions_of(rows, N_ITEMS), shrink=shrink).similarity.toarray()
    assert found == pytest.approx(slow_similarity(rows, shrink))


@given(rows_of_items, st.integers(1, 4))
def test_each_item_keeps_its_nearest(rows, neighbours):
    found = fitted(interactions_of(rows, N_ITEMS), neighbours=neighbours).similarity.toarray()
    dense = slow_similarity(rows, 10.0)
    for kept, whole in zip(found, dense, strict=True):
        assert sorted(kept)[-neighbours:] == pytest.approx(sorted(whole)[-neighbours:])
        assert (kept > 0).sum() <= neighbours


def test_scores_add_up_over_the_newest_history():
    interactions, requests = some_interactions(), some_requests()
    model = fitted(interactions, history=3)
    dense = model.similarity.toarray()
    best = model.retrieve(requests, 20, Allowed())
    for row in range(len(requests)):
        past = requests.history.take(np.array([row])).items[-3:]
        wanted = sum((count * dense[item] for item, count in Counter(past.tolist()).items()), np.zeros(20))
        found = dict(zip(best.items[row].tolist(), best.scores["itemknn"][row].tolist(), strict=True))
        assert {item for item in found if item} == set(np.flatnonzero(wanted).tolist())
        assert all(found[item] == pytest.approx(wanted[item], rel=1e-5) for item in found if item)


def test_no_neighbour_is_no_proposal():
    model = fitted(interactions_of([[1, 2], [3, 4]], 6))
    assert model.retrieve(some_requests(1), 5, Allowed()).items.tolist() == [[0] * 5]


def test_because_names_the_past_item_with_the_largest_share():
    interactions, requests = some_interactions(), some_requests()
    model = fitted(interactions, history=4)
    dense = model.similarity.toarray()
    items = model.retrieve(requests, 6, Allowed()).items
    because = model.because(requests, items)
    assert (because > 0).any()
    for row in range(len(requests)):
        past = requests.history.take(np.array([row])).items[-4:]
        for item, reason in zip(items[row], because[row], strict=True):
            share = dense[past, item].max() if item and len(past) else 0.0
            assert (reason > 0) == (share > 0)
            assert share == 0 or dense[reason, item] == share
    nothing = model.because(requests, np.full((len(requests), 1), 19, np.int32))
    assert not nothing.any(), "item 19 is withdrawn, so nothing speaks for it"


def test_what_is_withdrawn_is_nobodys_neighbour():
    interactions = interactions_of([[1, 2, 3]], 4)
    interactions.available[2] = False
    similarity = fitted(interactions).similarity.toarray()
    assert not similarity[:, 2].any()
    assert similarity[2, 3] > 0, "it still speaks for others"
