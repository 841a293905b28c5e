"""A suite that nothing fails checks nothing: each promise here is broken once, and the suite has to say which."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from headrace.balance.equal import Equal
from headrace.contracts.batch import Field
from headrace.contracts.requests import Allowed, Candidates
from headrace.contracts.seams import Loss, Outputs
from headrace.methods.page.explore import Explore, ExploreConfig
from headrace.methods.retrieve.itemknn import ItemKNN, ItemKNNConfig
from headrace.methods.retrieve.popularity import Popularity, PopularityConfig
from headrace.nn.topk import top_k
from headrace.objectives.reduction import masked_mean
from headrace.objectives.softmax import softmax
from headrace.testing import (
    check_balancer,
    check_batches,
    check_closed_form,
    check_loss,
    check_objective,
    check_policy,
    check_retriever,
    check_scorer,
    check_stored,
)
from headrace.testing.examples import some_candidates, some_class_rows, some_interactions, some_requests

LOGITS, TARGET, MASK = some_class_rows()


def costs(logits, target):
    return -logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)


BROKEN_LOSSES = {
    "shape ()": lambda logits, target, mask: costs(logits, target),
    "finite number": lambda logits, target, mask: softmax(logits, target, mask) / 0,
    "no gradient": lambda logits, target, mask: softmax(logits.detach(), target, mask),
    "order of the rows": lambda logits, target, mask: softmax(logits, target, mask) + (logits[:1] * 0.1).sum(),
    "not a mean over rows": lambda logits, target, mask: costs(logits, target).where(mask, torch.zeros(())).sum(),
    "empty batch": lambda logits, target, mask: softmax(logits, target, mask) + 1,
    "nan where the mask is false changes the loss": lambda logits, target, mask: (
        (costs(logits.clamp(-1e30, 1e30), target) * mask).sum() / mask.sum().clamp(min=1)
    ),
    "changes the gradient": lambda logits, target, mask: masked_mean(costs(logits, target), mask),
    "where the mask is false changes": lambda logits, target, mask: softmax(logits, target) if len(logits) else logits.sum(),
    "bfloat16": lambda logits, target, mask: softmax(logits, target, mask) * (2 if logits.dtype == torch.bfloat16 else 1),
}


@pytest.mark.parametrize("says", BROKEN_LOSSES)
def test_a_broken_loss(says):
    with pytest.raises(AssertionError, match=says.replace("(", r"\(").replace(")", r"\)")):
        check_loss(BROKEN_LOSSES[says], (LOGITS, TARGET, MASK))


def objective(**changes):
    def call(model, batch, services):
        loss = model(batch["x"]).square().mean()
        if "noise" in changes:
            loss = loss + np.random.default_rng().random()
        loss = loss * changes.get("scale", 1.0)
        return {"one": Loss(loss.detach() if "detached" in changes else loss, changes.get("count", 3.0))}

    if "counts" in changes:
        call.counts = lambda batch: changes["counts"]  # type: ignore[attr-defined]
    return call


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"noise": 1}, "the second time"),
        ({"detached": 1}, "has no gradient"),
        ({"count": 0.0}, "expected more than 0"),
        ({"counts": {"one": 4.0}}, "counts"),
        ({"scale": 0.0}, "No gradient reaches"),
        ({"scale": torch.nan}, "finite number"),
    ],
)
def test_a_broken_objective(changes, says):
    with torch.random.fork_rng():
        model, batch = nn.Linear(2, 1), {"x": torch.ones(3, 2)}
        check_objective(objective(counts={"one": 3.0}), model, batch)
        with pytest.raises(AssertionError, match=says):
            check_objective(objective(**changes), model, batch)


class Broken:
    """A fitted ItemKNN whose answers are spoilt."""

    def __init__(self, spoil):
        self.inner, self.spoil, self.calls = ItemKNN(ItemKNNConfig()), spoil, 0
        self.inner.fit(some_interactions())

    def retrieve(self, requests, k, allowed):
        self.calls += 1
        return self.spoil(self, requests, k, allowed)


def answer(self, requests, k, allowed):
    return self.inner.retrieve(requests, k, allowed)


def turned(self, requests, k, allowed):
    found = answer(self, requests, k, allowed)
    return Candidates(found.items[:, ::-1], {"s": found.scores["itemknn"][:, ::-1]})


def twice(self, requests, k, allowed):
    found = answer(self, requests, k, allowed)
    items = np.where(found.there, found.items[:, :1], 0)
    return Candidates(items, found.scores)


def scored_padding(self, requests, k, allowed):
    found = answer(self, requests, k, allowed)
    return Candidates(found.items, {"s": np.nan_to_num(found.scores["itemknn"], nan=-1.0)})


def another_each_time(self, requests, k, allowed):
    found = answer(self, requests, k, allowed)
    return Candidates(found.items, {"s": found.scores["itemknn"] + np.float32(self.calls)})


def by_batch(self, requests, k, allowed):
    found = answer(self, requests, k, allowed)
    return Candidates(found.items, {"s": found.scores["itemknn"] * np.float32(1 + len(requests))})


def by_place(self, requests, k, allowed):
    """Gives the rows in the wrong order when more than one is asked for."""
    found = answer(self, requests, k, allowed)
    return found.take(np.roll(np.arange(len(requests)), 1))


def cut_before_the_mask(self, requests, k, allowed):
    found = answer(self, requests, k, Allowed())
    scores = np.full((len(requests), 20), -np.inf, np.float32)
    np.put_along_axis(scores, found.items, np.nan_to_num(found.scores["itemknn"], nan=-np.inf), 1)
    return top_k(allowed.mask(scores), k, "s")


def too_many(self, requests, k, allowed):
    return answer(self, requests, k + 1, allowed)


def crashes_beyond(self, requests, k, allowed):
    assert (requests.history.items < 20).all(), "an item beyond the catalogue"
    return answer(self, requests, k, allowed)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (turned, "Padding|best first"),
        (twice, "item twice"),
        (scored_padding, "NaN exactly where"),
        (another_each_time, "asked a second time"),
        (by_batch, "asked alone"),
        (by_place, "asked alone|Allowed.blocked"),
        (lambda self, requests, k, allowed: answer(self, requests, k, Allowed(allowed.items)), "Allowed.blocked"),
        (lambda self, requests, k, allowed: answer(self, requests, k, Allowed(None, allowed.blocked)), "Allowed.items"),
        (cut_before_the_mask, "asked for 5, request"),
        (too_many, "were asked for"),
        (crashes_beyond, "beyond the catalogue"),
    ],
)
def test_a_broken_retriever(spoil, says):
    check_retriever(Broken(answer), some_requests(), n_items=20)
    with pytest.raises(AssertionError, match=says):
        check_retriever(Broken(spoil), some_requests(), n_items=20)


class Forgets(Popularity):
    """Its file leaves out the seed that breaks ties."""

    def arrays(self):
        return {"scores": self.scores, "seed": np.array(0)}


def test_what_a_file_forgets():
    model = Forgets(PopularityConfig(), seed=3)
    model.fit(some_interactions())
    with pytest.raises(AssertionError, match="Read back"):
        check_retriever(model, some_requests(), n_items=20)
    with pytest.raises(AssertionError, match="lacks arrays"):
        check_stored(Equal())


class Dot(nn.Module):
    schema = {"taste": Field("float32", ("rows", 3))}
    candidate_schema = {"items": Field("int64", ("rows", "candidates"))}

    def __init__(self, spoil=None):
        super().__init__()
        self.table, self.spoil = nn.Embedding(20, 3), spoil
        self.table.weight.data.copy_(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)))

    def user(self, batch):
        taste = batch["taste"]
        return {"taste": taste - taste.mean(0) if self.spoil == "rows" else taste[:-1] if self.spoil == "state" else taste}

    def score(self, state, candidates):
        logits = (self.table(candidates["items"]) * state["taste"].unsqueeze(1)).sum(-1)
        match self.spoil:
            case "candidates":
                logits = logits.softmax(-1)
            case "places":
                logits = logits + torch.arange(logits.shape[1])
            case "nan":
                logits = logits / 0
            case "constant":
                logits = logits * 0
        return Outputs({"choice": logits})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("rows", "cached states|other rows"),
        ("state", "rows in front"),
        ("candidates", "fewer candidates"),
        ("places", "another order"),
        ("nan", "not finite"),
        ("constant", "every candidate"),
    ],
)
def test_a_broken_scorer(spoil, says):
    draw = torch.Generator().manual_seed(1)
    batch = {"taste": torch.randn(4, 3, generator=draw)}, {"items": torch.randint(20, (4, 5), generator=draw)}
    with torch.random.fork_rng():
        check_scorer(Dot(), *batch)
        with pytest.raises(AssertionError, match=says):
            check_scorer(Dot(spoil), *batch)


class Spoilt(Explore):
    """A page policy that breaks one promise."""

    def __init__(self, spoil, **settings):
        super().__init__(ExploreConfig(**{"slots": 3, "temperature": 1.0, **settings}), policy_id="explore")
        self.spoil, self.calls = spoil, 0

    @property
    def deterministic(self):
        return self.spoil == "says deterministic" or (self.spoil != "says random" and super().deterministic)

    def act(self, requests, candidates=None, *, seed):
        self.calls += 1
        match self.spoil:
            case "calls":
                seed = self.calls
            case "rows":
                requests = replace(requests, ids=np.array([str(row) for row in range(len(requests))]))
            case "seed":
                seed = 0
        slates = super().act(requests, candidates, seed=seed)
        return replace(slates, log_prob=slates.log_prob - 1e-9) if self.spoil == "logged" else slates

    def log_prob(self, requests, slates, candidates=None):
        logs = super().log_prob(requests, slates, candidates)
        if self.spoil == "strangers":
            return np.maximum(logs, -50.0)
        return logs + np.where(logs < 0, 1e-7, 0) if self.spoil == "sum" and slates.items.shape[1] == 1 else logs


@pytest.mark.parametrize(
    ("spoil", "says", "settings"),
    [
        ("calls", "asked again", {}),
        ("rows", "another order|asked alone", {}),
        ("seed", "other seeds change no page", {}),
        ("logged", "not what it logged|at most 0|deterministic", {}),
        ("strangers", "no candidate", {}),
        ("sum", "do not sum to 1", {}),
        ("says deterministic", "deterministic policy shows another page", {}),
        ("says random", "mark the policy deterministic", {"temperature": 0.0, "epsilon": 0.0}),
    ],
)
def test_a_broken_policy(spoil, says, settings):
    requests = some_requests()
    check_policy(Spoilt(None, **settings), requests, some_candidates(requests))
    with pytest.raises(AssertionError, match=says):
        check_policy(Spoilt(spoil, **settings), requests, some_candidates(requests))


class Unbalanced(Equal):
    def __init__(self, spoil):
        self.spoil = spoil
        if spoil == "accumulates":
            self.accumulates = "yes"  # type: ignore[assignment]

    def backward(self, losses, shared, reevaluate):
        match self.spoil:
            case "sign":
                losses = {name: -loss for name, loss in losses.items()}
            case "weights":
                return dict(list(super().backward(losses, shared, reevaluate).items())[1:])
            case "nothing":
                return dict.fromkeys(losses, 1.0)
            case "infinite":
                losses = {name: loss * torch.inf for name, loss in losses.items()}
        return super().backward(losses, shared, reevaluate)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("accumulates", "expected True or False"),
        ("sign", "positive multiple"),
        ("weights", "Weights for"),
        ("nothing", "left no gradient"),
        ("infinite", "not finite"),
    ],
)
def test_a_broken_balancer(spoil, says):
    with pytest.raises(AssertionError, match=says):
        check_balancer(lambda: Unbalanced(spoil))


class Counted:
    def __init__(self, spoil):
        self.spoil, self.calls = spoil, 0

    def epoch(self, epoch):
        self.calls += 1
        number = {"calls": self.calls, "same": 0}.get(self.spoil, epoch)
        return [{"x": torch.tensor([number, index])} for index in range(3)]


@pytest.mark.parametrize(("spoil", "says"), [("calls", "the second time"), ("same", "nothing is shuffled")])
def test_broken_batches(spoil, says):
    check_batches(Counted(None))
    with pytest.raises(AssertionError, match=says):
        check_batches(Counted(spoil))


class Spoils(Popularity):
    spoil = ""

    def fit(self, interactions):
        before = self.scores
        super().fit(interactions)
        match self.spoil:
            case "adds":
                self.scores = self.scores + (before if len(before) > 1 else 0)
            case "order":
                self.scores[interactions.history.items[0]] += 1
            case "changes":
                interactions.available[1] = False


@pytest.mark.parametrize(
    ("spoil", "says"),
    [("adds", "another order|something else"), ("order", "stand in another order"), ("changes", "changed which items")],
)
def test_a_broken_closed_form(spoil, says):
    interactions = some_interactions()
    history = interactions.history
    # the first two events are one step, so that their order can be turned
    history.at_us[1] = history.at_us[0]
    history.items[:2] = [3, 4]
    model = Spoils(PopularityConfig())
    model.spoil = spoil
    with pytest.raises(AssertionError, match=says):
        check_closed_form(model, interactions)
