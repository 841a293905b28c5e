"""What the tests of readers of long histories share: a problem whose answer only an old event tells, and their contract."""

from dataclasses import replace

import numpy as np
import torch

from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.contracts.training import TrainConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_scorer
from headrace.testing.examples import HOUR_US, history_of
from headrace.train.trainer import train
from tests.methods.examples import featured, inputs

KIND = "item.kind"
KINDS, NOISE = 4, 2
"""Items 1-12 are of the kinds 1-4, 13-19 of two that no candidate is of."""
EVENTS, OLD = 24, 3


def learned(kind, settings, lists=None, sizes=None, vectors=None):
    interactions, artifacts = featured(lists, sizes or {}, vectors)
    model = kind(settings)
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


def check_reader(kind, settings, sizes, vectors):
    """The suites that hold for each of them, on users without a history too."""
    model, made, lists = learned(kind, settings, sizes=sizes, vectors=vectors)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


def check_padding_is_silent(kind, settings, sizes):
    """What stands behind a short history is never read: with room for many more events, all is as it was."""
    model, _, lists = learned(kind, settings, sizes=sizes)
    model.eval()
    wider = kind.from_arrays(replace(settings, history=settings.history + 7), model.arrays()).eval()
    user, candidates = inputs(model, lists)
    roomy, _ = inputs(wider, lists)
    short = np.flatnonzero(lists.requests.history.lengths <= settings.history)
    assert len(short) > 2
    assert 0 in lists.requests.history.lengths[short]
    rows = torch.from_numpy(short)
    candidates = {name: values[rows] for name, values in candidates.items()}
    with torch.no_grad():
        found = [
            one.score(one.user({name: values[rows] for name, values in side.items()}), candidates).logits["choice"]
            for one, side in ((model, user), (wider, roomy))
        ]
        loud = {name: values[rows].clone() for name, values in user.items()}
        loud["history.ages"][loud["history"] == 0] = 9.0
        found.append(model.score(model.user(loud), candidates).logits["choice"])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-4, atol=1e-5)


def old_events(n=200, seed=0):
    """Of each request's four candidates, the one of the kind of its oldest events was chosen; all events since were noise.

    interactions, artifacts, place [n] of the chosen.
    """
    draw = np.random.default_rng(seed)
    items = np.arange(1, 13).reshape(KINDS, 3)
    kind = draw.integers(KINDS, size=n)
    old = items[kind[:, None], draw.integers(3, size=(n, OLD))]
    past = np.hstack([old, draw.integers(13, 20, (n, EVENTS - OLD))])
    order = draw.permuted(np.tile(np.arange(KINDS), (n, 1)), axis=1)
    shown = items[order, draw.integers(3, size=(n, KINDS))].astype(np.int32)
    place = (order == kind[:, None]).argmax(1)
    ids = np.array([f"request-{number}" for number in range(n)])
    requests = Requests(ids, np.arange(1, n + 1, dtype=np.int32), np.full(n, (EVENTS + 2) * HOUR_US), history_of(past.tolist()))
    said = np.zeros(shown.shape, np.float32)
    lists = CandidateLists.of(
        requests, Candidates(shown, {"one": said, "two": said}), history_of(shown[np.arange(n), place][:, None].tolist())
    )
    interactions, artifacts = featured(lists, {KIND: 1 + KINDS + NOISE})
    codes = np.array([0, *np.repeat(np.arange(1, 5), 3), *(5 + np.arange(7) % NOISE)], np.int32)
    return replace(interactions, features={KIND: codes}), artifacts, place


def share_found(kind, settings, *, epochs=16, learning_rate=0.01):
    """Of other requests than it learned from, where it puts the chosen first; a guess finds a quarter."""
    interactions, artifacts, _ = old_events()
    model = kind(settings)
    with seeded(0, "init"):
        made = model.learn(interactions, artifacts)
    train(
        made, TrainConfig(epochs=epochs, learning_rate=learning_rate, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs)
    )
    _, others, place = old_events(seed=1)
    model.eval()
    with torch.no_grad():
        user, candidates = inputs(model, others["candidate_lists"])
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    return (best.numpy() == place).mean()
