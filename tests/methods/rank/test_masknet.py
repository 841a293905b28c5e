from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from headrace.contracts.training import TrainConfig
from headrace.methods.rank.masknet import MaskBlock, MaskNet, MaskNetConfig
from headrace.nn.seeded import seeded
from headrace.objectives.choice import Perturb
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.testing.stored import check_stored
from headrace.train.trainer import train
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule

SMALL = MaskNetConfig(item_dim=4, feature_dim=3, blocks=2, block_dim=8, hidden=(8,), history=5, width=4, batch_size=8)


def learned(lists=None, settings=SMALL, sizes=SIZES, vectors=None):
    interactions, artifacts = featured(lists, sizes, vectors)
    model = MaskNet(settings)
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


@pytest.mark.parametrize("structure", ["serial", "parallel"])
@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS), ({}, VECTORS)], ids=["features", "none", "all", "vectors"]
)
def test_contract(sizes, vectors, structure):
    model, made, lists = learned(sizes=sizes, vectors=vectors, settings=replace(SMALL, structure=structure))
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))
    check_stored(model)


@pytest.mark.parametrize("structure", ["serial", "parallel"])
def test_it_learns_a_rule(structure):
    lists, place = lists_with_a_rule()
    model, made, lists = learned(lists, replace(SMALL, width=6, batch_size=32, structure=structure), sizes={})
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


@torch.no_grad()
def test_a_block_by_hand():
    """A mask that says 1 everywhere leaves relu(LN(W LN(h))); one that says 0 leaves the norm's own bias."""
    draw = torch.Generator().manual_seed(0)
    x0, h = torch.randn(5, 3, generator=draw), torch.randn(5, 4, generator=draw)
    block = MaskBlock(3, 4, 6, reduction=2.0)
    first, _, last = block.mask
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    assert first.out_features == 8
    last.weight.zero_()
    last.bias.fill_(1.0)
    normed = torch.nn.functional.layer_norm
    assert_close(block(x0, h), torch.relu(normed(block.hidden(normed(h, (4,))), (6,))))
    last.bias.zero_()
    block.hidden.bias.fill_(0.7)
    assert not block(x0, h).any()
