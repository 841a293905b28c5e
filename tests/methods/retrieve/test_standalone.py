"""Retrieval by an upstream's vectors, on an artificial one."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Allowed
from headrace.contracts.training import TrainConfig
from headrace.data.features import Features, Timeline
from headrace.data.foundation import USER
from headrace.methods.retrieve.standalone import Standalone, StandaloneConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests
from headrace.train.trainer import train
from tests.methods.upstream import ITEMS, USERS, some_foundation

SMALL = StandaloneConfig(item_dim=4, feature_dim=3, history=5, batch_size=64)
FRESH = replace(SMALL, fresh=True)
NOTHING = Timeline(np.zeros(1, np.int64), np.zeros(0, np.int64), {})


def learned(settings=SMALL, interactions=None, foundation=None, sizes=None):
    interactions, foundation = interactions or some_interactions(), foundation or some_foundation()
    sizes = sizes or {}
    n_users = interactions.n_users
    codes = {name: np.arange(n_users, dtype=np.int32) % size for name, size in sizes.items() if name[0] == "u"}
    users = Timeline(np.arange(n_users + 1), np.zeros(n_users, np.int64), codes)
    items = {name: np.arange(interactions.n_items, dtype=np.int32) % size for name, size in sizes.items() if name[0] == "i"}
    features = Features(NOTHING, users, sizes).with_foundation(foundation)
    model = Standalone(settings, seed=3)
    with seeded(0, "init"):
        made = model.learn(replace(interactions, features=items), {"features": features, "foundation": foundation})
    return model, made


def asked(requests, foundation, sizes=None):
    """With what the upstream knows of who asks."""
    codes = {name: np.arange(len(requests), dtype=np.int32) % size for name, size in (sizes or {}).items() if name[0] == "u"}
    return replace(requests, features={**codes, USER: foundation.users_at(requests.users, requests.at_us)})


def trained(made, epochs=8):
    settings = TrainConfig(epochs=epochs, learning_rate=0.05, device="cpu")
    train(made, settings, seed=0, artifacts=dict.fromkeys(made.needs))


@pytest.mark.parametrize("sizes", [{}, {"user.group": 3, "item.kind": 4}], ids=["no features", "features"])
@pytest.mark.parametrize("settings", [SMALL, replace(SMALL, reads="UR"), FRESH], ids=["CR", "UR", "fresh"])
def test_contract(settings, sizes):
    model, made = learned(settings, sizes=sizes)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_retriever(model, asked(some_requests(), some_foundation(), sizes), n_items=20)


@pytest.mark.parametrize("settings", [SMALL, FRESH], ids=["transferred", "fresh"])
def test_items_without_a_vector_are_neither_proposed_nor_learned_from(settings):
    foundation = some_foundation()
    without = np.flatnonzero(~foundation.items_at(2**60).any(1))
    model, made = learned(settings, foundation=foundation)
    found = model.retrieve(asked(some_requests(), foundation), 20, Allowed()).items
    assert len(without) == 5
    assert not np.isin(found[found > 0], without).any()
    assert 19 not in found, "it is withdrawn"
    chosen = {int(item) for batch in made.batches.epoch(0) for item in batch["item"]}
    assert chosen
    assert not chosen & set(without.tolist())


def planted(n=60, n_items=21, seed=0):
    """Users of two kinds, which CR alone tells; IR tells two kinds of items. Each chose two items of their kind."""
    draw = np.random.default_rng(seed)
    kind = np.arange(n) % 2
    users = draw.normal(size=(n, sum(USERS.values())))
    users[:, USERS["UR"]] = 3.0 * kind - 1
    items = draw.normal(size=(n_items, sum(ITEMS.values())))
    items[:, 0] = np.where(np.arange(n_items) > n_items // 2, 2.0, -2.0)
    users[0] = items[0] = 0
    half = n_items // 2
    rows = [(draw.permutation(half)[:2] + 1 + half * one).tolist() for one in kind[1:]]
    return some_foundation(users=users, items=items), interactions_of(rows, n_items), kind


def test_a_new_user_is_answered_by_what_the_upstream_knows_and_not_by_the_control():
    """Users who chose nothing here: half of what is proposed to them would be of their kind by a guess."""
    foundation, interactions, kind = planted()
    rows = [[] if user > 40 else past for user, past in enumerate(_rows(interactions))]
    before = interactions_of(rows[1:], interactions.n_items)
    new = np.arange(41, 60)
    requests = replace(some_requests(len(new)), users=new.astype(np.int32), history=history_of([[]] * len(new)))
    share = {}
    for name, settings in {"transferred": SMALL, "fresh": FRESH}.items():
        model, made = learned(settings, before, foundation)
        trained(made)
        found = model.retrieve(asked(requests, foundation), 5, Allowed()).items
        share[name] = ((found > 10) == kind[new][:, None]).mean()
    assert share["transferred"] > 0.85, share
    assert 0.3 < share["fresh"] < 0.7, share


def test_users_the_upstream_has_not_met_are_answered_alike():
    foundation, interactions, _ = planted()
    model, made = learned(SMALL, interactions, foundation)
    trained(made, 1)
    requests = replace(some_requests(3), users=np.array([0, 999, 1], np.int32))
    found = model.retrieve(asked(requests, foundation), 5, Allowed())
    assert found.items[0].tolist() == found.items[1].tolist() != found.items[2].tolist()


def test_frozen_vectors_are_the_upstreams_but_for_a_map_of_each_number():
    foundation = some_foundation()
    model, made = learned(foundation=foundation)
    before = model.items.clone()
    trained(made, 1)
    assert model.items.equal(before)
    ir = foundation.items_at(2**60)[:, : ITEMS["IR"]]
    known = ir.any(1)
    np.testing.assert_allclose(model.items[known], (ir[known] - ir[known].mean(0)) / ir[known].std(0), atol=1e-5)


def test_an_artifact_without_the_part_is_refused():
    foundation = replace(some_foundation(), user_parts={"UR": 8})
    with pytest.raises(ConfigError, match=r"reads CR, and the upstream's artifact has: UR"):
        learned(foundation=foundation)


def _rows(interactions):
    history = interactions.history
    return [history.items[start:stop].tolist() for start, stop in zip(history.offsets[:-1], history.offsets[1:], strict=True)]
