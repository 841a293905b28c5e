import numpy as np

from headrace.contracts.requests import Allowed
from headrace.methods.retrieve.popularity import Popularity, PopularityConfig
from headrace.testing import check_closed_form, check_retriever
from headrace.testing.examples import interactions_of, some_interactions, some_requests

DAY_US = 86_400_000_000


def fitted(interactions, seed=0, **settings):
    made = Popularity(PopularityConfig(**settings), seed=seed)
    made.fit(interactions)
    return made


def test_contract():
    for settings in ({}, {"half_life_days": 0.1}):
        check_closed_form(Popularity(PopularityConfig(**settings)), some_interactions())
        check_retriever(fitted(some_interactions(), seed=3, **settings), some_requests(), n_items=20)


def test_it_counts():
    best = fitted(interactions_of([[1, 2, 2], [2, 3, 3]], 5)).retrieve(some_requests(2), 3, Allowed())
    assert best.items.tolist() == [[2, 3, 1]] * 2
    assert best.scores["popularity"].tolist() == [[3, 2, 1]] * 2


def test_an_event_counts_half_after_each_half_life():
    interactions = interactions_of([[1, 2, 3]], 4, [[0, 2 * DAY_US, 4 * DAY_US - 1]])
    scores = fitted(interactions, half_life_days=2.0).scores
    assert np.allclose(scores[1:], [0.25, 0.5, 1.0])


def test_an_event_counts_as_much_as_it_weighs():
    interactions = interactions_of([[1, 2]], 3)
    interactions.weights[1] = 5
    assert fitted(interactions).scores[1:].tolist() == [1, 5]


def test_what_is_withdrawn_is_not_proposed():
    interactions = interactions_of([[1, 2, 2]], 3)
    interactions.available[2] = False
    assert fitted(interactions).retrieve(some_requests(1), 3, Allowed()).items.tolist() == [[1, 0, 0]]
