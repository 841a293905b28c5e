from dataclasses import replace

import numpy as np
import pytest
import torch

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Allowed
from headrace.contracts.training import TrainConfig
from headrace.methods.retrieve.sasrec import SASRec, SASRecConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests
from headrace.train.trainer import train
from tests.methods.retrieve.by_index import CODES, N, check_by_index, check_small

SMALL = SASRecConfig(dim=8, layers=1, heads=2, length=5, dropout=0.1, batch_size=4)


def learned(interactions, settings=SMALL, seed=0):
    model = SASRec(settings, seed=seed)
    with seeded(seed, "init"):
        return model, model.learn(interactions, {})


def test_contract():
    model, made = learned(some_interactions(), seed=3)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_retriever(model, some_requests(), n_items=20)


def test_it_learns_a_cycle():
    """The next item is always the number after: 1, 2, ..., 11, 1, ... A bag of items could not tell."""
    n_items = 12
    starts = np.arange(64) % (n_items - 1)
    rows = [((start + np.arange(6)) % (n_items - 1) + 1).tolist() for start in starts]
    settings = SASRecConfig(dim=16, layers=1, heads=1, length=6, dropout=0.0, batch_size=32)
    model, made = learned(interactions_of(rows, n_items), settings)
    train(made, TrainConfig(epochs=30, learning_rate=0.02, device="cpu"), seed=0)
    requests = some_requests(11)
    past = history_of([[(start + step) % 11 + 1 for step in range(4)] for start in range(11)])
    asked = type(requests)(requests.ids, requests.users, requests.at_us, past)
    first = model.retrieve(asked, 1, Allowed()).items[:, 0]
    assert (first == (np.arange(11) + 4) % 11 + 1).all()


def test_an_item_it_was_not_trained_on_is_not_proposed():
    model, _ = learned(interactions_of([[1, 2, 3, 1], [2, 1]], 6))
    assert set(model.retrieve(some_requests(4, 4), 6, Allowed()).items.ravel().tolist()) == {0, 1, 2, 3}


def test_no_known_past_is_no_proposal():
    model, _ = learned(some_interactions())
    assert not model.retrieve(some_requests(1), 5, Allowed()).there.any()


def test_only_the_newest_items_are_read():
    model, _ = learned(some_interactions())
    long = history_of([[7, 8, 9, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5]])
    requests = some_requests(2)
    scores = model.retrieve(type(requests)(requests.ids, requests.users, requests.at_us, long), 9, Allowed()).scores["sasrec"]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_the_score_is_that_of_the_last_position():
    model, _ = learned(some_interactions())
    model.eval()
    requests = some_requests()
    best = model.retrieve(requests, 3, Allowed())
    past = requests.history.take(np.array([2])).items[-5:]
    with torch.no_grad():
        logits = model.logits(model.hidden(torch.from_numpy(past[None].astype(np.int64)))[0, -1])
    assert logits[best.items[2]].numpy() == pytest.approx(best.scores["sasrec"][2], rel=1e-4, abs=1e-5)


def test_heads_must_divide_dim():
    with pytest.raises(ConfigError, match="dim must be a multiple of heads"):
        SASRecConfig(dim=10, heads=4)


def test_learning_does_not_hang_on_other_draws():
    first, _ = learned(some_interactions())
    torch.rand(3)
    second, _ = learned(some_interactions())
    assert first.items.weight.equal(second.items.weight)


def test_one_negative_learns_as_well_and_by_another_loss():
    model, made = learned(some_interactions(), replace(SMALL, loss="one_negative"))
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_retriever(model, some_requests(), n_items=20)
    curve = train(made, TrainConfig(epochs=15, learning_rate=0.02, device="cpu"), seed=0).curve
    assert curve[-1]["one_negative"] < 0.8 * curve[0]["one_negative"]
    hidden = model.hidden(torch.tensor([[1, 2]]))
    picked = model.scores(hidden, torch.tensor([[3, 4]]))
    torch.testing.assert_close(picked, model.logits(hidden)[0, [0, 1], [3, 4]].unsqueeze(0))


def test_by_index_few_are_missed(monkeypatch):
    exact, codes = (learned(some_interactions(600, N), replace(SMALL, dim=24, **more))[0] for more in ({}, CODES))
    assert exact.arrays().keys() - {"seed"} == codes.state_dict().keys() == exact.state_dict().keys()
    check_by_index(exact, codes, monkeypatch)
    check_small(learned(some_interactions(), replace(SMALL, **CODES))[0])


def test_the_index_follows_training():
    model, made = learned(some_interactions(), replace(SMALL, **CODES))
    before = model.retrieve(some_requests(), 5, Allowed()).scores["sasrec"]
    first = model.nearest
    train(made, TrainConfig(epochs=1, learning_rate=0.02, device="cpu"), seed=0)
    assert not np.allclose(before, model.retrieve(some_requests(), 5, Allowed()).scores["sasrec"], equal_nan=True)
    assert model.nearest is not first
