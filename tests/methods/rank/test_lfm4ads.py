"""The ranker that reads an upstream, on an artificial one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates
from headrace.contracts.training import TrainConfig
from headrace.data.foundation import USER
from headrace.methods.rank.dcnv2 import DCNv2, DCNv2Config
from headrace.methods.rank.lfm4ads import LFM4Ads, LFM4AdsConfig, Part
from headrace.nn.seeded import seeded
from headrace.nn.tables import TableConfig
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.testing.examples import history_of, some_requests
from headrace.train.trainer import train
from tests.methods.examples import SIZES, VECTORS, featured, inputs
from tests.methods.upstream import ITEMS, USERS, some_foundation, transferred

SMALL = LFM4AdsConfig(item_dim=4, feature_dim=3, hidden=(8,), history=5, width=4, batch_size=8, adapter_dim=3)
ALL: tuple[Part, ...] = ("UR", "CR", "IR", "item CR")
WAYS = {
    "gate": SMALL,
    "gate of all": replace(SMALL, reads=ALL),
    "linear": replace(SMALL, adapter="linear", reads=("UR",)),
    "mlp of items": replace(SMALL, adapter="mlp", reads=("IR", "item CR")),
    "block": replace(SMALL, reads=(), isomorphic=True),
    "both": replace(SMALL, adapter="mlp", reads=ALL, isomorphic="random"),
    "nothing": replace(SMALL, reads=()),
    "hashed": replace(SMALL, reads=ALL, table=TableConfig(hashed=9, hashes=2)),
}


def learned(settings=SMALL, sizes=SIZES, vectors=None, foundation=None, lists=None):
    interactions, artifacts = transferred(foundation, lists, sizes, vectors)
    model = LFM4Ads(settings)
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


def scores(model, user, candidates):
    model.eval()
    with torch.no_grad():
        return model.score(model.user(user), candidates).logits["choice"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("sizes", "vectors"), [(SIZES, VECTORS), ({}, None)], ids=["all", "none"])
def test_contract(way, sizes, vectors):
    model, made, lists = learned(WAYS[way], sizes, vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


def test_a_gate_starts_as_the_plain_ranker():
    """With the plain one's weights, the same scores."""
    model, _, lists = learned(replace(SMALL, reads=ALL))
    plain = DCNv2(DCNv2Config(item_dim=4, feature_dim=3, hidden=(8,), history=5, width=4, batch_size=8))
    plain.learn(*featured())
    names = {name: name.replace("cross.layers", "cross.crosses") for name in plain.state_dict()}
    plain.load_state_dict({name: model.state_dict()[its] for name, its in names.items()})
    user, candidates = inputs(model, lists)
    assert_close(scores(model, user, candidates), scores(plain, user, candidates))


@pytest.mark.parametrize("adapter", ["linear", "mlp", "gate"])
def test_each_part_that_is_read_speaks_and_no_other(adapter):
    starts = dict(zip(USERS, (0, USERS["UR"]), strict=True))
    of_users: tuple[Part, ...] = ("UR", "CR")
    for part in of_users:
        model, _, lists = learned(replace(SMALL, adapter=adapter, reads=(part,)))
        _stirred(model)
        user, candidates = inputs(model, lists)
        before = scores(model, user, candidates)
        for other, start in starts.items():
            vectors = user[USER].clone()
            vectors[:, start : start + USERS[other]] += 1
            there = user[USER].any(1)
            after = scores(model, {**user, USER: vectors.where(there[:, None], user[USER])}, candidates)
            assert torch.allclose(after, before) == (other != part), (adapter, part, other)
    of_items: dict[Part, int] = {"IR": 0, "item CR": ITEMS["IR"]}
    for part, start in of_items.items():
        model, _, lists = learned(replace(SMALL, adapter=adapter, reads=(part,)))
        _stirred(model)
        user, candidates = inputs(model, lists)
        before = scores(model, user, candidates)
        assert scores(model, {**user, USER: user[USER] + 1}, candidates).equal(before), "users' are not read"
        model.known_of_items[1, start] += 1
        moved = scores(model, user, candidates) != before
        assert moved.any()
        assert not moved[candidates["items"] != 1].any()


def test_items_are_known_as_of_the_start_of_the_window():
    foundation = some_foundation()
    interactions, _ = transferred(foundation)
    late = foundation.items.at_us.copy()
    late[foundation.items.offsets[3]] = interactions.cut_us  # a state holds from after its moment
    later = replace(foundation, items=replace(foundation.items, at_us=late))
    model, _, _ = learned(replace(SMALL, reads=("IR",)), foundation=later)
    assert not model.known_of_items[3].any()
    assert model.known_of_items[5].equal(torch.from_numpy(foundation.items_at(1)[5]))
    assert model.known_of_items[5].any()


def test_users_the_upstream_has_not_met_have_a_vector_that_is_learned():
    model, made, lists = learned(replace(SMALL, adapter="linear"))
    unknown = ~lists.requests.features[USER].any(1)
    assert 0 < unknown.sum() < len(unknown)
    assert not model.of_user.unknown.any()
    train(made, TrainConfig(epochs=2, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    assert model.of_user.unknown.any()
    z = model.of_user(torch.from_numpy(lists.requests.features[USER]))
    known = z[torch.from_numpy(~unknown)].detach()
    assert_close(known.mean(0), torch.zeros(known.shape[1]), atol=1e-5, rtol=0)
    assert_close(known.std(0, correction=0), torch.ones(known.shape[1]))


def test_an_isomorphic_block_starts_from_the_upstreams_weights_and_the_control_does_not():
    foundation = some_foundation()
    model, made, _ = learned(WAYS["block"], foundation=foundation)
    for name, values in model.block.state_dict().items():
        assert values.numpy().tolist() == foundation.block[name].tolist()
    random, _, _ = learned(replace(WAYS["block"], isomorphic="random"), foundation=foundation)
    assert not random.block.crosses[0].weight.equal(model.block.crosses[0].weight)
    train(made, TrainConfig(epochs=1, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    assert not np.allclose(model.block.crosses[0].weight.detach(), foundation.block["crosses.0.weight"]), "and is trained on"


def test_what_no_artifact_can_give_is_refused():
    foundation = some_foundation()
    with pytest.raises(ConfigError, match=r"reads CR of users, and the upstream's artifact has: UR\. Set reads"):
        learned(foundation=replace(foundation, user_parts={"UR": 8}))
    with pytest.raises(ConfigError, match=r"block takes 9 numbers, and UR with IR are 5"):
        learned(WAYS["block"], foundation=replace(foundation, settings={"block": {"width": 9, "crosses": 1, "hidden": []}}))
    with pytest.raises(ConfigError, match="names a part twice"):
        replace(SMALL, reads=("CR", "CR"))
    for wrong in ({"adapter": "film"}, {"reads": ["CR3"]}, {"isomorphic": "zero"}):
        with pytest.raises(ConfigError):
            parse(LFM4AdsConfig, wrong, where="[rank.lfm4ads]")
    assert parse(LFM4AdsConfig, {"isomorphic": True, "reads": ["UR", "item CR"]}, where="").isomorphic is True


def two_tastes(n, seed, foundation):
    """Of two candidates each user wants the one of their kind, of which CR alone tells. Candidates are of many items."""
    draw = np.random.default_rng(seed)
    requests = replace(some_requests(n), users=draw.integers(1, len(foundation.users.offsets) - 1, n).astype(np.int32))
    requests = replace(requests, history=history_of([[]] * n))
    first = foundation.users_at(requests.users, requests.at_us)[:, USERS["UR"]] > 0
    items = np.stack([draw.integers(1, 10, n), draw.integers(10, 20, n)], 1).astype(np.int32)
    place = np.where(first, 0, 1)
    said = {name: np.zeros(items.shape, np.float32) for name in ("one", "two")}
    lists = CandidateLists.of(requests, Candidates(items, said), history_of(items[np.arange(n), place][:, None].tolist()))
    return lists, place


def test_few_rows_gain_from_what_the_upstream_knows():
    """60 requests of 400 users: without CR nothing tells a user's kind, so the control guesses."""
    draw = np.random.default_rng(0)
    users = draw.normal(size=(400, sum(USERS.values())))
    users[:, USERS["UR"]] = draw.choice([-1.0, 1.0], 400)
    users[0] = 0
    foundation = some_foundation(users=users)
    lists, _ = two_tastes(60, 0, foundation)
    others, place = two_tastes(300, 1, foundation)
    _, artifacts = transferred(foundation, others, {})
    right = {}
    for name, settings in {
        "nothing": replace(SMALL, reads=()),
        **{one: replace(SMALL, adapter=one) for one in ("linear", "mlp", "gate")},
    }.items():
        model, made, _ = learned(settings, {}, None, foundation, lists)
        train(made, TrainConfig(epochs=25, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
        user, candidates = inputs(model, artifacts["candidate_lists"])
        right[name] = (scores(model, user, candidates).argmax(1).numpy() == place).mean()
    assert right["nothing"] < 0.6, right
    assert min(right[one] for one in ("linear", "mlp", "gate")) > 0.8, right


def _stirred(model):
    """Gates start at zero, where nothing is said."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("from_"):
                weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
