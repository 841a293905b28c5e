from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Allowed
from headrace.contracts.rng import rng
from headrace.methods.retrieve.ease import EASE, EASEConfig
from headrace.testing import check_closed_form, check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests

N_ITEMS = 6


def fitted(interactions, seed=0, **settings):
    made = EASE(EASEConfig(**settings), seed=seed)
    made.fit(interactions)
    return made


def test_contract():
    check_closed_form(EASE(EASEConfig()), some_interactions())
    check_retriever(fitted(some_interactions(), seed=3, l2=1.0), some_requests(), n_items=20)
    check_retriever(fitted(some_interactions(), l2=50.0, history=2), some_requests(), n_items=20)


rows_of_items = st.lists(st.lists(st.integers(1, N_ITEMS - 1), max_size=6), min_size=1, max_size=8)


@given(rows_of_items, st.sampled_from([0.5, 20.0]))
def test_it_is_each_items_ridge_regression_on_the_others(rows, l2):
    """Column j of B solves its own least squares with a zero at j: no matrix identity of the closed form is used."""
    users = np.array([[item in row for item in range(N_ITEMS)] for row in rows], float)
    wanted = np.zeros((N_ITEMS, N_ITEMS))
    for item in range(N_ITEMS):
        others = np.delete(np.arange(N_ITEMS), item)
        x = users[:, others]
        wanted[others, item] = np.linalg.solve(x.T @ x + l2 * np.eye(N_ITEMS - 1), x.T @ users[:, item])
    assert fitted(interactions_of(rows, N_ITEMS), l2=l2).weights == pytest.approx(wanted, abs=1e-5)


def test_a_golden_value():
    """Two users of both items, λ = 1: XᵀX + λI = [[3, 2], [2, 3]], whose inverse is [[3, -2], [-2, 3]] / 5, so B_12 = 2 / 3."""
    weights = fitted(interactions_of([[1, 2], [2, 1]], 3), l2=1.0).weights
    assert weights[1:, 1:] == pytest.approx(np.array([[0, 2 / 3], [2 / 3, 0]]))


def test_float32_is_enough():
    draw = rng(0, "ease")
    rows = [draw.integers(1, 300, 40).tolist() for _ in range(200)]
    users = np.zeros((len(rows), 300))
    for user, row in enumerate(rows):
        users[user, row] = 1
    inverse = np.linalg.inv(users.T @ users + 20 * np.eye(300))
    wanted = -inverse / np.diag(inverse)
    np.fill_diagonal(wanted, 0)
    # 1e-5 of the largest weight: the condition number is about 100, a float32's error 6e-8
    assert np.abs(fitted(interactions_of(rows, 300), l2=20.0).weights - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_scores_add_up_over_the_newest_different_items():
    model = fitted(some_interactions(), l2=1.0, history=3)
    past = history_of([[9, 4, 4, 7]])
    found = model.retrieve(replace(some_requests(1), history=past), 20, Allowed())
    wanted = model.weights[4] + model.weights[7]
    assert found.there.sum() > 10
    assert found.scores["ease"][found.there] == pytest.approx(wanted[found.items[found.there]], rel=1e-5)


def test_an_item_nobody_chose_is_not_proposed():
    model = fitted(interactions_of([[1, 2, 3], [2, 3]], 6))
    found = model.retrieve(some_requests(3, 4), 6, Allowed())
    assert set(found.items[1:].ravel().tolist()) == {0, 1, 2, 3}
    assert not found.there[0].any(), "without a past nothing speaks for any item"


def test_a_catalogue_too_large_is_refused():
    with pytest.raises(ConfigError, match=r"20 items, so its fit needs .* most_items is 19.*itemknn"):
        fitted(some_interactions(), most_items=19)
    fitted(some_interactions(), most_items=20)
