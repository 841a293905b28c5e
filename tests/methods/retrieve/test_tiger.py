from dataclasses import replace

import numpy as np
import pytest
import torch

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Allowed
from headrace.contracts.training import TrainConfig
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.retrieve.tiger import TIGER, TIGERConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests
from headrace.train.trainer import train

# As many beams as there are items: the search is exhaustive, as the suite's comparisons of longer and shorter lists need it.
SMALL = TIGERConfig(dim=8, layers=1, heads=2, hidden=16, length=5, dropout=0.1, batch_size=16, beams=20)


def ids_of(n_items, *, without=()):
    """Two levels of meaning from the item's number, one that tells apart; item 0 and some have none."""
    items = np.arange(n_items)
    codes = np.stack([items % 3, items // 3 % 2], 1).astype(np.int32)
    codes[[0, *without]] = -1
    return told_apart(codes, (3, 2))


def learned(interactions, settings=SMALL, seed=0, ids=None):
    model = TIGER(settings, seed=seed)
    with seeded(seed, "init"):
        return model, model.learn(interactions, {"semantic_ids": ids or ids_of(interactions.n_items)})


def test_contract():
    model, made = learned(some_interactions(), seed=3)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_retriever(model, some_requests(), n_items=20)


def test_it_learns_a_cycle():
    """The next item is always the number after: 1, 2, ..., 6, 1, ... A bag of codes could not tell."""
    rows = [((start + np.arange(4)) % 6 + 1).tolist() for start in range(6)] * 4
    settings = replace(SMALL, dim=16, dropout=0.0, batch_size=12, length=3)
    model, made = learned(interactions_of(rows, 7), settings)
    train(made, TrainConfig(epochs=25, learning_rate=0.01, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    past = history_of([[(start + step) % 6 + 1 for step in range(3)] for start in range(6)])
    first = model.retrieve(replace(some_requests(6, 7), history=past), 1, Allowed()).items[:, 0]
    assert (first == (np.arange(6) + 3) % 6 + 1).all()


def test_scores_are_the_log_probabilities_of_the_codes():
    model, _ = learned(some_interactions())
    found = model.retrieve(some_requests(), 20, Allowed())
    again = model.log_probabilities(some_requests(), found.items)
    assert np.array_equal(np.isnan(again), ~found.there)
    np.testing.assert_allclose(again[found.there], found.scores["tiger"][found.there], rtol=1e-5, atol=1e-5)


def test_probabilities_of_all_codes_are_one_in_all():
    """Of items, of which not every code has one, they are less: the tree masks and does not share out anew."""
    model, _ = learned(interactions_of([[1, 2, 3, 4, 5, 6], [2, 3]], 7))
    found = model.retrieve(some_requests(3, 7), 20, Allowed())
    totals = np.exp(found.scores["tiger"].astype(np.float64)[1:])
    assert (np.nansum(totals, 1) < 1).all()
    share = model.invalid_share(some_requests(3, 7), 3 * 2 * 1)
    assert np.isnan(share[0])
    assert (share[1:] == 0).all(), "with six codes and six items every code is an item's"


def test_without_the_tree_codes_are_written_that_no_item_has():
    model, _ = learned(interactions_of([[1, 2, 3, 5], [2, 3]], 6))
    share = model.invalid_share(some_requests(3, 6), 6)
    assert share[1:] == pytest.approx(1 / 6), "five items have one of six codes"


def test_what_was_not_trained_on_or_has_no_codes_is_not_proposed():
    model, _ = learned(interactions_of([[1, 2, 3, 1], [2, 1, 4]], 6), ids=ids_of(6, without=[4]))
    assert set(model.retrieve(some_requests(4, 4), 6, Allowed()).items.ravel().tolist()) == {0, 1, 2, 3}


def test_only_the_newest_items_with_codes_are_read():
    model, _ = learned(some_interactions(), ids=ids_of(20, without=[6]))
    past = history_of([[7, 8, 9, 1, 2, 6, 3, 4, 6, 5], [1, 2, 3, 4, 5], [6, 6]])
    found = model.retrieve(replace(some_requests(3), history=past), 9, Allowed())
    assert found.scores["tiger"][0] == pytest.approx(found.scores["tiger"][1], rel=1e-5)
    assert not found.there[2].any(), "nothing to read"


def test_an_item_that_is_unlike_in_its_last_code_alone_is_another():
    model, _ = learned(interactions_of([[1, 7, 1, 7], [7, 1]], 8))
    assert (model.coded.ids.codes[1, :2] == model.coded.ids.codes[7, :2]).all()
    assert set(model.retrieve(some_requests(2, 8), 5, Allowed()).items[1].tolist()) - {0} == {1, 7}


def test_heads_must_divide_dim():
    with pytest.raises(ConfigError, match="dim must be a multiple of heads"):
        TIGERConfig(dim=10, heads=4)


def test_learning_does_not_hang_on_other_draws():
    first, _ = learned(some_interactions())
    torch.rand(3)
    second, _ = learned(some_interactions())
    assert all(one.equal(other) for one, other in zip(first.parameters(), second.parameters(), strict=True))


def test_codes_that_are_taken_up_are_those_of_the_training():
    _, made = learned(some_interactions())
    assert made.made_of == {"semantic_ids": ids_of(20).fingerprint} != {"semantic_ids": ids_of(20, without=[3]).fingerprint}
