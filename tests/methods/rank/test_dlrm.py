from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.training import TrainConfig
from headrace.methods.rank.dlrm import DLRM, DLRMConfig, pairs_of, upper
from headrace.nn.seeded import seeded
from headrace.objectives.choice import Perturb
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.testing.stored import check_stored
from headrace.train.trainer import train
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule

SMALL = DLRMConfig(dim=4, bottom=(5,), hidden=(8,), history=5, width=4, batch_size=8)


def learned(lists=None, settings=SMALL, sizes=SIZES, vectors=None):
    interactions, artifacts = featured(lists, sizes, vectors)
    model = DLRM(settings)
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
    check_stored(model)


def test_it_learns_a_rule():
    lists, place = lists_with_a_rule()
    model, made, lists = learned(lists, replace(SMALL, width=6, batch_size=32), sizes={})
    train(made, TrainConfig(epochs=8, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    model.eval()
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.97


def test_what_a_user_and_a_candidate_carry_speaks():
    model, _, lists = learned()
    user, candidates = inputs(model, lists)
    model.eval()
    with torch.no_grad():
        before = model.score(model.user(user), candidates).logits["choice"]
        older = {**user, "user.age": (user["user.age"] + 1) % SIZES["user.age"]}
        assert not torch.allclose(model.score(model.user(older), candidates).logits["choice"], before, atol=1e-6)
        for name in lists.candidates.features:
            other = {**candidates, name: (candidates[name] + 1) % SIZES[name]}
            assert not torch.allclose(model.score(model.user(user), other).logits["choice"], before, atol=1e-6)


@pytest.mark.parametrize("by", ["lspr", "scr"])
def test_it_can_be_perturbed_and_give_probabilities(by):
    model, made, _ = learned(settings=replace(SMALL, loss="pointwise", perturb=Perturb(by=by)))
    assert model.probabilities
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])


def test_pairs_by_hand():
    vectors = torch.tensor([[[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]])
    assert pairs_of(vectors, upper(3)).tolist() == [[2.0, 0.0, 3.0]]  # 0 and 1, 0 and 2, 1 and 2
    assert pairs_of(torch.zeros(2, 5, 1, 3), upper(1)).shape == (2, 5, 0)
    assert_close(pairs_of(vectors.expand(4, 3, 2), upper(3)), pairs_of(vectors, upper(3)).expand(4, 3))
