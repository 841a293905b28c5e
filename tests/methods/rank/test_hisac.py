from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.training import TrainConfig
from headrace.data.rank_inputs import AGES
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.rank.hisac import HiSAC, HiSACConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.train.trainer import train
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule

SMALL = HiSACConfig(
    item_dim=4, feature_dim=3, hidden=(8,), history=9, width=4, batch_size=8, kept=5, kept_per_level=(2, 2), temperature=0.5
)


def ids_of(n_items=20, *, without=()):
    """Codes of two levels of three symbols, and the level that tells apart."""
    codes = np.stack([np.arange(n_items) % 3, np.arange(n_items) // 3 % 3], 1).astype(np.int32)
    codes[[0, *without]] = -1
    return told_apart(codes, (3, 3))


def vectors_of(n_items=20):
    found = np.random.default_rng(3).normal(size=(n_items, 5)).astype(np.float32)
    found[0] = 0
    return found


def learned(lists=None, settings=SMALL, sizes=SIZES, vectors=None, ids=None):
    interactions, artifacts = featured(lists, sizes, vectors)
    n = interactions.n_items
    model = HiSAC(settings)
    with seeded(0, "init"):
        given = {**artifacts, "semantic_ids": ids or ids_of(n), "item_vectors": vectors_of(n)}
        return model, model.learn(interactions, given), artifacts["candidate_lists"]


@pytest.mark.parametrize(
    ("sizes", "vectors", "more"),
    [
        (SIZES, None, {}), ({}, None, {"routing": "hard", "rest": True}), (SIZES, VECTORS, {"voting": "flat", "ages": False}),
    ],
    ids=["features", "hard", "flat"],
)  # fmt: skip
def test_contract(sizes, vectors, more):
    model, made, lists = learned(settings=replace(SMALL, **more), sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))
    assert made.made_of == {"semantic_ids": ids_of().fingerprint}


def toy(**settings):
    """Items 1 to 4 under node 1 (two leaves), 5 and 6 under node 2; places on a line, and events that are what they are."""
    codes = np.array([[-1, -1], [0, 0], [0, 0], [0, 1], [0, 1], [1, 0], [1, 0], [-1, -1]], np.int32)
    model = HiSAC(replace(SMALL, item_dim=2, history=6, ages=False, **settings))
    held = model._placed(told_apart(codes, (2, 2)), np.eye(8, dtype=np.float32))
    places = np.array([[0.0], [0.0], [1.0], [3.0]], np.float32)
    model._hold({**held, "places": places, "tau": np.array(1.0, np.float32)})
    return model


def test_the_tree_is_that_of_the_codes():
    model = toy()
    assert model.leaf.tolist() == [0, 1, 1, 2, 2, 3, 3, 0]
    assert model.tree.tolist() == [[0, 0], [1, 1], [1, 2], [2, 3]]


@torch.no_grad()
@pytest.mark.parametrize("routing", ["soft", "hard"])
def test_agents_by_hand(routing):
    """Of leaves 1, 1, 3, 2, 3, 3: one child of each of two nodes is kept, leaf 3 with 3 votes and leaf 1 with 2."""
    model = toy(kept_per_level=(2, 1), routing=routing, rest=True)
    items = torch.tensor([[1, 2, 5, 3, 6, 6]])
    values = torch.arange(12.0).view(1, 6, 2)
    model._items, model._past = lambda batch: items, lambda batch: values
    state = model._kept({})
    omega = np.sqrt([3, 2]) * 2 / np.sqrt([3, 2]).sum()
    at = np.array([0, 0, 3, 1, 3, 3])
    if routing == "soft":
        weights = np.stack([np.exp(-((3 - at) ** 2.0)), np.exp(-((0 - at) ** 2.0))])
    else:
        weights = np.stack([at == 3, at <= 1]).astype(float)
    wanted = omega[:, None] * (weights @ values[0].numpy()) / weights.sum(1, keepdims=True)
    assert state["there"].tolist() == [[True, True, True]]
    assert_close(state["read"][0, :2], torch.from_numpy(wanted).float())
    assert_close(state["read"][0, 2], values[0].mean(0))


def test_agents_hang_on_nothing_that_is_learned():
    model, _, lists = learned(sizes={})
    user, candidates = inputs(model, lists)
    state = model.user(user)
    model.score(state, candidates).logits["choice"].sum().backward()
    assert {name for name, one in model.named_parameters() if one.grad is None} == set()
    assert not any(one.requires_grad for one in (model.places, model.tau))
    assert state["read"].shape == (len(lists), 4, 4), "two of two: four agents, where five may be kept"


def test_it_learns_a_rule():
    lists, place = lists_with_a_rule()
    model, made, lists = learned(lists, replace(SMALL, width=6, batch_size=32), sizes={})
    train(made, TrainConfig(epochs=8, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    assert (best.numpy() == place).mean() > 0.97


def made_anew(model, items):
    """The agents of one row, as a request makes them of all its events."""
    model.config = replace(model.config, history=max(len(items), 1))
    row = torch.zeros(1, max(len(items), 1), dtype=torch.int64)
    row[0, : len(items)] = torch.from_numpy(items.astype(np.int64))
    return model._kept({"history": row, AGES: torch.zeros(row.shape)})


@torch.no_grad()
@pytest.mark.parametrize(
    "more", [{}, {"routing": "hard"}, {"voting": "flat", "rest": True}, {"kept_per_level": (1, 1)}], ids=str
)  # fmt: skip
def test_an_event_that_is_added_is_as_good_as_all_of_them_anew(more):
    """Items without codes (6, 7) and of a catalogue that has grown (25) among them."""
    model, _, _ = learned(settings=replace(SMALL, ages=False, **more), ids=ids_of(without=[6, 7]))
    model.eval()
    draw = np.random.default_rng(0)
    for n in (0, 1, 2, 40):
        items, at_us = draw.integers(1, 26, n + 3).astype(np.int32), np.sort(draw.integers(0, 50, n + 3))
        sums = model.state_of(items[:n], at_us[:n])
        for end in range(n, n + 4):
            found, wanted = model.read_of(sums), made_anew(model, items[:end])
            assert_close(found["read"], wanted["read"], rtol=1e-5, atol=1e-5)
            assert found["there"].equal(wanted["there"])
            if end < n + 3:
                sums = model.updated(sums, items[end : end + 1], at_us[end : end + 1])


@torch.no_grad()
def test_a_hundred_thousand_events_and_one_more():
    model, _, _ = learned(settings=replace(SMALL, ages=False))
    model.eval()
    items = np.random.default_rng(1).zipf(1.3, 100_001).clip(1, 19).astype(np.int32)
    at_us = np.arange(100_001)
    sums = model.updated(model.state_of(items[:-1], at_us[:-1]), items[-1:], at_us[-1:])
    found = model.read_of(sums)["read"]
    assert_close(found, model.read_of(model.state_of(items, at_us))["read"], rtol=1e-7, atol=1e-7)
    # a float32 softmax over as many events is itself off by that; the same in float64 is what it should be
    assert_close(found, made_anew(model, items)["read"], rtol=2e-3, atol=2e-3)
    assert_close(found, made_anew(model.double(), items)["read"].float(), rtol=1e-6, atol=1e-6)
    assert sums.nbytes < 1000, "what is kept hangs on the leaves, not on the events"


def test_what_can_not_be_is_refused():
    model, _, _ = learned(settings=replace(SMALL, ages=False))
    with pytest.raises(DataError, match="events out of order: 1 of 2 are older"):
        model.state_of(np.array([1, 2], np.int32), np.array([5, 4]))
    with pytest.raises(ConfigError, match="ages = false"):
        learned()[0].state_of(np.array([1], np.int32), np.array([5]))
    with pytest.raises(ConfigError, match=r"kept_per_level = \[3, 0\]"):
        HiSACConfig(kept_per_level=(3, 0))
    with pytest.raises(DataError, match=r"hisac: semantic ids of 9 items in 3 levels, for a catalogue of 20"):
        learned(ids=ids_of(9))
