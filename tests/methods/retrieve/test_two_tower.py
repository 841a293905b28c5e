from dataclasses import replace

import numpy as np
import torch

from headrace.contracts.requests import Allowed
from headrace.contracts.training import TrainConfig
from headrace.data.features import Features, Timeline
from headrace.methods.retrieve.two_tower import TwoTower, TwoTowerConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests
from headrace.train.trainer import train
from tests.methods.retrieve.by_index import CODES, N, check_by_index, check_small

SMALL = TwoTowerConfig(dim=8, item_dim=8, feature_dim=4, hidden=16, history=5, batch_size=64)
NOTHING = Timeline(np.zeros(1, np.int64), np.zeros(0, np.int64), {})


def learned(interactions, features=None, settings=SMALL):
    model = TwoTower(settings, seed=3)
    with seeded(0, "init"):
        made = model.learn(interactions, {"features": features or Features(NOTHING, users_of(interactions.n_users), {})})
    return model, made


def users_of(n, **codes):
    return Timeline(np.arange(n + 1), np.zeros(n, np.int64), codes)


def trained(model, made, *, epochs):
    train(made, TrainConfig(epochs=epochs, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))


def test_contract():
    interactions = replace(some_interactions(), features={"item.kind": np.arange(20, dtype=np.int32) % 4})
    model, made = learned(interactions, Features(NOTHING, users_of(interactions.n_users), {"item.kind": 4}))
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_retriever(model, some_requests(), n_items=20)


def test_it_learns_two_tastes():
    """Half the users choose items 1 to 5, the others 6 to 10."""
    draw = np.random.default_rng(0)
    rows = [(draw.permutation(5)[:4] + 1 + 5 * (user % 2)).tolist() for user in range(80)]
    model, made = learned(interactions_of(rows, 11))
    trained(model, made, epochs=12)
    past = history_of([[1, 3], [7, 9]])
    found = model.retrieve(replace(some_requests(2), history=past), 3, Allowed(blocked=past))
    assert set(found.items[0].tolist()) <= {1, 2, 3, 4, 5}
    assert set(found.items[1].tolist()) <= {6, 7, 8, 9, 10}


def test_a_user_without_a_past_is_answered_by_features():
    """Users of group 1 choose items 1 to 3, those of group 2 items 4 to 6."""
    groups = np.arange(61, dtype=np.int32) % 2 + 1
    draw = np.random.default_rng(0)
    rows = [(draw.permutation(3)[:2] + 1 + 3 * (group - 1)).tolist() for group in groups[1:]]
    features = Features(NOTHING, users_of(61, **{"user.group": groups}), {"user.group": 3})
    model, made = learned(interactions_of(rows, 7), features)
    trained(model, made, epochs=12)
    asked = replace(some_requests(2), history=history_of([[], []]), features={"user.group": np.array([1, 2], np.int32)})
    found = model.retrieve(asked, 3, Allowed())
    assert [set(row) for row in found.items.tolist()] == [{1, 2, 3}, {4, 5, 6}]


def test_what_nobody_chose_or_is_withdrawn_is_not_proposed():
    model, _ = learned(interactions_of([[1, 2, 3, 1], [2, 1]], 6))
    assert set(model.retrieve(some_requests(4, 4), 6, Allowed()).items.ravel().tolist()) == {0, 1, 2, 3}


def test_items_vectors_follow_training():
    interactions = some_interactions()
    model, made = learned(interactions)
    before = model.retrieve(some_requests(), 5, Allowed()).scores["two_tower"]
    trained(model, made, epochs=1)
    after = model.retrieve(some_requests(), 5, Allowed()).scores["two_tower"]
    assert not np.allclose(before, after)
    with torch.no_grad():
        assert model.towers.vectors().equal(model.item(torch.arange(20)))


def test_an_item_that_nobody_chose_is_proposed_where_its_text_is_known():
    """Texts are of two kinds, tastes too. Items 6 and 12 were never chosen: 6 is of the first kind, of 12 nothing is known."""
    vectors = np.zeros((13, 2), np.float32)
    vectors[1:7, 0] = vectors[7:12, 1] = 1
    draw = np.random.default_rng(0)
    rows = [(draw.permutation(5)[:4] + (1 if user % 2 else 7)).tolist() for user in range(80)]
    interactions, past = interactions_of(rows, 13), history_of([[1, 3], [8, 9]])
    features = Features(NOTHING, users_of(interactions.n_users), {}, item_vectors=vectors)
    model, made = learned(interactions, features)
    trained(model, made, epochs=12)
    found = model.retrieve(replace(some_requests(2), history=past), 5, Allowed(blocked=past)).items.tolist()
    assert 6 in found[0][:4]
    assert 6 not in found[1][:3]
    assert not any(12 in row for row in found)
    check_retriever(model, some_requests(n_items=13), n_items=13)
    model, _ = learned(interactions)
    assert 6 not in model.retrieve(some_requests(2, n_items=13), 12, Allowed()).items


def test_by_index_few_are_missed(monkeypatch):
    interactions = some_interactions(600, N)
    exact, codes = (learned(interactions, settings=replace(SMALL, dim=24, **settings))[0] for settings in ({}, CODES))
    assert exact.arrays().keys() - {"seed"} == exact.state_dict().keys() == codes.state_dict().keys()
    check_by_index(exact, codes, monkeypatch)
    check_small(learned(some_interactions(), settings=replace(SMALL, **CODES))[0])


def test_the_index_follows_training_and_stored_vectors_are_read_from_their_file():
    model, made = learned(some_interactions(), settings=replace(SMALL, **CODES))
    before = model.retrieve(some_requests(), 5, Allowed()).scores["two_tower"]
    trained(model, made, epochs=1)
    assert not np.allclose(before, model.retrieve(some_requests(), 5, Allowed()).scores["two_tower"])
    arrays = model.arrays()
    copy = TwoTower.from_arrays(model.config, arrays)
    assert np.shares_memory(copy.eval().towers.vectors().numpy(), arrays["index.vectors"])
