from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.training import TrainConfig
from headrace.methods.rank.dcnv2 import CrossNet, DCNv2, DCNv2Config
from headrace.nn.seeded import seeded
from headrace.nn.tables import TableConfig
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.train.trainer import train
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule

SMALL = DCNv2Config(item_dim=4, feature_dim=3, hidden=(8,), history=5, width=4, batch_size=8, dropout=0.1)


def learned(lists=None, settings=SMALL, sizes=SIZES, seed=0, vectors=None):
    interactions, artifacts = featured(lists, sizes, vectors)
    model = DCNv2(settings, seed=seed)
    with seeded(seed, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS), ({}, VECTORS)], ids=["features", "none", "all", "vectors"]
)
def test_contract(sizes, vectors):
    model, made, lists = learned(sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@pytest.mark.parametrize("table", [TableConfig(hashed=9, hashes=2), TableConfig(least=4, tail=2, sparse=True)])
def test_contract_with_rows_that_items_share(table):
    model, made, lists = learned(settings=replace(SMALL, table=table))
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    user, candidates = inputs(model, lists)
    check_scorer(model, user, candidates)
    model.eval()
    with torch.no_grad():
        before = model.score(model.user(user), candidates).logits["choice"]
        later = {**candidates, "items": candidates["items"].clone()}
        later["items"][:, 0] = 999
        after = model.score(model.user(user), later).logits["choice"]
        unknown = {**candidates, "items": later["items"].masked_fill(later["items"] == 999, 0)}
        none = model.score(model.user(user), unknown).logits["choice"]
    assert after[:, 1:].equal(before[:, 1:])
    assert not torch.allclose(after[:, 0], none[:, 0]), "an item that came later has an embedding"


def test_a_sparse_table_learns_the_rule():
    lists, place = lists_with_a_rule()
    table = TableConfig(hashed=1000, sparse=True)
    model, made, lists = learned(lists, replace(SMALL, width=6, batch_size=32, table=table), sizes={})
    settings = TrainConfig(epochs=6, learning_rate=0.02, device="cpu", optimizer="rowwise")
    train(made, settings, seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.97


def test_crosses_by_hand():
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    cross = CrossNet(3, layers=2).requires_grad_(False)
    for parameter in cross.parameters():
        parameter.zero_()
    assert_close(cross(x), x)
    one = CrossNet(3, layers=1).requires_grad_(False)
    for parameter in (*one.parameters(), *cross.parameters()):
        parameter.copy_(torch.eye(3) if parameter.dim() == 2 else torch.zeros(3))
    assert_close(one(x), x + x * x)
    assert_close(cross(x), x + x * x + x * (x + x * x))


def test_it_learns_a_rule():
    lists, place = lists_with_a_rule()
    model, made, lists = learned(lists, replace(SMALL, width=6, batch_size=32), sizes={})
    train(made, TrainConfig(epochs=6, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.97


def test_a_feature_speaks():
    model, _, lists = learned()
    user, candidates = inputs(model, lists)
    model.eval()
    with torch.no_grad():
        before = model.score(model.user(user), candidates).logits["choice"]
        older = {**user, "user.age": (user["user.age"] + 1) % SIZES["user.age"]}
        assert not torch.allclose(model.score(model.user(older), candidates).logits["choice"], before, atol=1e-5)
        for name in ("colour", "tags", "country"):
            changed = DCNv2.from_arrays(model.config, model.arrays()).eval()
            (weight,) = (weight for said, weight in changed.named_parameters() if "item_tables" in said and name in said)
            weight[1:] += torch.randn(weight[1:].shape, generator=torch.Generator().manual_seed(0))
            assert not torch.allclose(changed.score(changed.user(user), candidates).logits["choice"], before, atol=1e-5)


def test_items_of_a_grown_catalogue_are_unknown_to_it():
    model, _, lists = learned()
    user, candidates = inputs(model, lists)
    model.eval()
    with torch.no_grad():

        def scores(last, first):
            past, items = user["history"].clone(), candidates["items"].clone()
            past[:, -1], items[:, 0] = last, first
            return model.score(model.user({**user, "history": past}), {**candidates, "items": items}).logits["choice"]

        assert scores(99, 20).equal(scores(0, 0))


def test_padding_in_the_history_is_no_item():
    model, _, _ = learned()
    model.eval()
    with torch.no_grad():
        short = {"history": torch.tensor([[3, 4, 0, 0, 0]]), "user.age": torch.tensor([1])}
        state = model.user(short)
        assert_close(state["taste"][0], model.fields.items.weight[[3, 4]].mean(0))


def test_weights_can_live_on_another_device():
    model, _, lists = learned(sizes={})
    user, candidates = inputs(model, lists)
    there = model.to("meta")
    outputs = there.score(
        there.user({n: t.to("meta") for n, t in user.items()}), {n: t.to("meta") for n, t in candidates.items()}
    )
    assert outputs.logits["choice"].device.type == "meta"


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
