from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.training import TrainConfig
from headrace.methods.rank.din import DIN, DINConfig, TargetAttention
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.train.trainer import train
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule

SMALL = DINConfig(item_dim=4, feature_dim=3, attention_hidden=5, hidden=(8,), history=5, width=4, batch_size=8)


def learned(lists=None, settings=SMALL, sizes=SIZES, vectors=None):
    interactions, artifacts = featured(lists, sizes, vectors)
    model = DIN(settings)
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


@torch.no_grad()
def test_attention_is_the_papers_mlp_of_four_parts():
    """W [e, q, e - q, e * q] for some W = [W1, W2, W3, W4], one pair at a time."""
    draw = torch.Generator().manual_seed(0)
    past, target = torch.randn(2, 3, 4, generator=draw), torch.randn(2, 5, 4, generator=draw)
    there = torch.tensor([[True, True, False], [True, False, False]])
    attention = TargetAttention(4, 6)
    parts = torch.randn(4, 6, 4, generator=draw)
    attention.past.weight.copy_(parts[0] + parts[2])
    attention.target.weight.copy_(parts[1] - parts[2])
    attention.product.weight.copy_(parts[3])
    whole = torch.cat([*parts], 1)
    wanted = torch.zeros(2, 5, 4)
    for row in range(2):
        for place in range(5):
            q = target[row, place]
            for e in past[row][there[row]]:
                inside = whole @ torch.cat([e, q, e - q, e * q]) + attention.past.bias
                wanted[row, place] += attention.out(attention.act(inside)) * e
    assert_close(attention(past, there, target), wanted, rtol=1e-4, atol=1e-5)


def test_each_candidate_reads_the_history_anew():
    model, _, _ = learned(sizes={})
    model.eval()
    with torch.no_grad():
        state = model.user({"history": torch.tensor([[3, 4, 0, 0, 0]])})
        target = model._embedded(torch.tensor([[5, 6]]))
        read = model.attention(state["past"], state["there"], target)
        assert not torch.allclose(read[0, 0], read[0, 1], atol=1e-6)
        empty = model.user({"history": torch.zeros(1, 5, dtype=torch.int64)})
        assert not model.attention(empty["past"], empty["there"], target).any()


def test_it_learns_a_rule():
    lists, place = lists_with_a_rule()
    model, made, lists = learned(lists, replace(SMALL, width=6, batch_size=32), sizes={})
    train(made, TrainConfig(epochs=8, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.97


def test_what_a_candidate_carries_speaks():
    model, _, lists = learned()
    user, candidates = inputs(model, lists)
    model.eval()
    with torch.no_grad():
        before = model.score(model.user(user), candidates).logits["choice"]
        for name in lists.candidates.features:
            other = {**candidates, name: (candidates[name] + 1) % SIZES[name]}
            assert not torch.allclose(model.score(model.user(user), other).logits["choice"], before, atol=1e-6)


def test_pointwise_scores_are_probabilities():
    """Of 200 lists, of every fifth nothing was chosen; one candidate in six or seven was, and that is what it says."""
    lists, place = lists_with_a_rule()
    label = lists.label.copy()
    label[::5] = 0
    settings = replace(SMALL, width=2, batch_size=32, loss="pointwise")
    model, made, lists = learned(replace(lists, label=label), settings, sizes={})
    assert model.probabilities
    assert not learned()[0].probabilities
    (batch, *_) = made.batches.epoch(0)
    assert batch["items"].shape[1] == 6, "whole lists"
    assert sum(len(one["items"]) for one in made.batches.epoch(0)) == 200, "and all of them"
    check_objective(made.objectives[0], model, batch)
    train(made, TrainConfig(epochs=8, learning_rate=0.03, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        said = model.score(model.user(user), candidates).logits["choice"].sigmoid().numpy()
    assert said.sum() == pytest.approx(label.sum(), rel=0.1)
    chosen = said[range(200), place]
    assert chosen.mean() == pytest.approx(0.8, abs=0.1), "four times in five, the one with a low number"
    assert said.sum() - chosen.sum() < 20
