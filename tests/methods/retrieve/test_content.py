from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Allowed
from headrace.methods.retrieve.content import Content, ContentConfig
from headrace.testing import check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests
from tests.methods.retrieve.by_index import CODES, N, check_by_index, check_small


def fitted(interactions, vectors, **settings):
    model = Content(ContentConfig(**settings), seed=3)
    model.fit(interactions, {"item_vectors": vectors})
    return model


def some_vectors(n=20):
    vectors = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    vectors[0] = 0
    return vectors


def test_contract():
    check_retriever(fitted(some_interactions(), some_vectors()), some_requests(), n_items=20)


def test_the_score_is_the_mean_cosine_of_the_newest():
    vectors = np.array([[0, 0], [3, 0], [0, 2], [1, 1], [0, -1], [0, 0]], np.float32)
    model = fitted(interactions_of([[1, 2]], 6), vectors, history=2)
    past = history_of([[4, 5, 1, 2], [5]])
    found = model.retrieve(replace(some_requests(2), history=past), 5, Allowed(blocked=past))
    assert found.items.tolist() == [[3, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert found.scores["content"][0, 0] == pytest.approx(0.5**0.5)


def test_what_nobody_chose_is_proposed_where_it_has_a_text():
    vectors = some_vectors(6)
    vectors[4] = 0
    model = fitted(interactions_of([[1, 2]], 6), vectors)
    found = model.retrieve(replace(some_requests(1), history=history_of([[1]])), 6, Allowed())
    assert set(found.items.ravel().tolist()) - {0} == {1, 2, 3, 5}


def test_vectors_of_another_catalogue_are_refused():
    with pytest.raises(DataError, match="content: vectors of 4 items for a catalogue of 6"):
        fitted(interactions_of([[1, 2]], 6), some_vectors(4))


def test_by_index_few_are_missed(monkeypatch):
    draw = np.random.default_rng(0)
    vectors = (draw.normal(size=(60, 24))[draw.integers(60, size=N)] + 0.5 * draw.normal(size=(N, 24))).astype(np.float32)
    vectors[[0, 7, 8]] = 0
    exact, codes = (fitted(some_interactions(n_items=N), vectors, **settings) for settings in ({}, CODES))
    assert exact.arrays().keys() == {"vectors", "proposed", "seed"}
    check_by_index(exact, codes, monkeypatch)
    check_small(fitted(some_interactions(), some_vectors(), **CODES))
