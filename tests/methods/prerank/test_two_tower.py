from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import PseudoLabels
from headrace.contracts.training import TrainConfig
from headrace.methods.prerank.two_tower import TwoTower, TwoTowerConfig
from headrace.nn.seeded import seeded
from headrace.objectives.choice import Perturb
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.train.trainer import train
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule
from tests.methods.prerank.impressions import some_impressions

SMALL = TwoTowerConfig(dim=4, item_dim=4, feature_dim=3, hidden=8, history=5, width=4, batch_size=8)


def learned(lists=None, settings=SMALL, sizes=SIZES, vectors=None):
    interactions, artifacts = featured(lists, sizes, vectors)
    model = TwoTower(settings)
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS), ({}, VECTORS)], ids=["features", "none", "all", "vectors"]
)
def test_contract(sizes, vectors):
    model, made, lists = learned(sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


def test_looked_up_vectors_score_as_the_towers_do():
    model, _, lists = learned(settings=replace(SMALL, dropout=0.0))
    user, candidates = inputs(model, lists)
    with torch.no_grad():
        model.train()
        slow = model.score(model.user(user), candidates).logits["choice"]
        model.eval()
        assert_close(model.score(model.user(user), candidates).logits["choice"], slow)


def test_what_the_retrievers_said_joins_as_a_weighted_sum():
    model, made, lists = learned()
    user, candidates = inputs(model, lists)
    with torch.no_grad():
        silent = model.eval().score(model.user(user), candidates).logits["choice"]
        model.said.copy_(torch.arange(len(model.said)))
        heard = model.score(model.user(user), candidates).logits["choice"]
    assert_close(heard - silent, candidates["retrieval"] @ model.said, atol=1e-5, rtol=1e-5)
    train(made, TrainConfig(epochs=1, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    assert (model.said != torch.arange(len(model.said))).all(), "it is learned"


def test_features_of_pairs_are_left_to_the_ranker():
    model, made, _ = learned()
    assert set(model.candidate_schema) == {"items", "retrieval"}
    assert not any(name.startswith("pair.") for name in made.batches.epoch(0)[0])
    assert not model.probabilities


def test_a_head_of_its_own_learns_pseudo_labels_and_is_not_served():
    """Served is the head of the labels that were seen; what both learn is shared but for scales and a bias."""
    settings = replace(SMALL, loss="pointwise", pseudo_head=True, dropout=0.0)
    lists = some_impressions()
    size = lists.label.shape
    lists = replace(lists, pseudo=PseudoLabels(np.full(size, 0.9, np.float32), np.ones(size, np.float32)))
    model, made, lists = learned(lists, settings)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))
    user, candidates = inputs(model, lists)
    model.train()
    with torch.no_grad():
        both = model.score(model.user(user), candidates).logits
    assert set(both) == {"choice", "pseudo"}
    assert_close(both["pseudo"], both["choice"] - model.bias(candidates["items"]).squeeze(-1))
    train(made, TrainConfig(epochs=20, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        found = model.train().score(model.user(user), candidates).logits
        served = model.eval().score(model.user(user), candidates).logits
    assert set(served) == {"choice"}
    unshown = torch.from_numpy(lists.unshown.there)
    assert found["pseudo"][unshown].sigmoid().mean() > found["choice"][unshown].sigmoid().mean() + 0.2
    assert_close(served["choice"], found["choice"])


def test_without_that_head_nothing_of_it_is_kept():
    assert "pseudo.weight" not in learned()[0].state_dict()


def test_nothing_is_hidden_between_two_vectors():
    with pytest.raises(ConfigError, match=r'at = "hidden" moves what a last layer reads'):
        replace(SMALL, loss="pointwise", perturb=Perturb(at="hidden"))
    with pytest.raises(ConfigError, match="perturb stands around the pointwise loss"):
        replace(SMALL, perturb=Perturb())


def test_it_learns_a_rule():
    lists, place = lists_with_a_rule()
    model, made, lists = learned(lists, replace(SMALL, width=6, batch_size=32), sizes={})
    train(made, TrainConfig(epochs=10, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.97
