"""Six methods to come, each cut down to the demand it makes on the seams. If one of these did not plug in, the seam was wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, cross_entropy, one_hot

from headrace.contracts.batch import Batch, Field
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, Loss, Outputs, PseudoLabels, Services, State
from headrace.contracts.training import TrainConfig
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.topk import top_k

DIM = 8


@dataclass(frozen=True)
class Fixed:
    """`Batches` from rows held in memory."""

    rows: Mapping[str, Tensor]
    batch_size: int
    seed: int

    def epoch(self, epoch: int) -> Sequence[Batch]:
        order = torch.from_numpy(rng(self.seed, "fixed", epoch).permutation(len(next(iter(self.rows.values())))))
        return [{name: values[part] for name, values in self.rows.items()} for part in order.split(self.batch_size)]


@config
class FakeConfig:
    train: TrainConfig = TrainConfig(epochs=2, learning_rate=0.05)


class Fake(nn.Module):
    """What the fakes share: the constructor `build` calls, and arrays out and in."""

    Config = FakeConfig
    revision = 1
    needs: tuple[str, ...] = ()

    def __init__(self, config: FakeConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def arrays(self) -> Mapping[str, Any]:
        return arrays_of(self)

    @classmethod
    def from_arrays(cls, config: FakeConfig, arrays: Mapping[str, Any]) -> "Fake":
        made = cls(config)
        made.make(len(arrays["items.weight"]))
        load_arrays_into(made, arrays)
        return made

    def make(self, n_items: int) -> None:
        self.items = nn.Embedding(n_items, DIM)


# GPL: several phases. Phase 1 trains a generator of interest anchors; phase 2 trains the pre-ranker on clicks and pseudo-labels.


class AnchorGenerator(Fake):
    """Phase 1: predicts the next item; its last hidden state is the user's anchor."""

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        self.make(interactions.n_items)
        newest = torch.from_numpy(interactions.history.last(3).astype(np.int64))
        kept = newest[(newest > 0).all(1)]
        return Learned(self, [self.next_item], Fixed({"past": kept[:, :2], "next": kept[:, 2]}, 16, self.seed))

    def next_item(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        logits = self.items(batch["past"]).mean(1) @ self.items.weight.T
        return {"next": Loss(cross_entropy(logits, batch["next"]), len(logits))}

    def anchors(self, requests: Requests) -> Tensor:
        past = torch.from_numpy(requests.history.last(2).astype(np.int64))
        found: Tensor = self.items(past).mean(1)
        return found


class AnchorLabeler:
    """`PseudoLabeler`: how near an unshown candidate is to the user's anchor. The generator comes as an artifact."""

    def __init__(self, generator: AnchorGenerator):
        self.generator = generator

    @torch.no_grad()
    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels:
        vectors = self.generator.items(torch.from_numpy(unshown.items.astype(np.int64)))
        near = cosine_similarity(vectors, self.generator.anchors(requests).unsqueeze(1), dim=-1).numpy()
        return PseudoLabels(((near + 1) / 2).astype(np.float32), unshown.there.astype(np.float32))


class PreRanker(Fake):
    """Phase 2: needs the anchors; what is deployed is the same module as without them."""

    needs = ("anchors", "requests", "unshown")
    schema = {"past": Field("int64", ("rows", 2))}
    candidate_schema = {"items": Field("int64", ("rows", "candidates"))}

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        self.make(interactions.n_items)
        requests, unshown = artifacts["requests"], artifacts["unshown"]
        pseudo = AnchorLabeler(artifacts["anchors"]).label(requests, unshown)
        rows = {
            "past": torch.from_numpy(requests.history.last(2).astype(np.int64)),
            "items": torch.from_numpy(unshown.items.astype(np.int64)),
            "label": torch.from_numpy(pseudo.label),
            "weight": torch.from_numpy(pseudo.weight),
        }
        return Learned(self, [pseudo_labels], Fixed(rows, 16, self.seed), needs=self.needs, weights={"pseudo": 0.3})

    def user(self, batch: Batch) -> State:
        return {"user": self.items(batch["past"]).mean(1)}

    def score(self, state: State, candidates: Batch) -> Outputs:
        return Outputs({"click": (self.items(candidates["items"]) @ state["user"].unsqueeze(-1)).squeeze(-1)})


def pseudo_labels(model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
    logits = model.score(model.user(batch), batch).logits["click"]
    losses = binary_cross_entropy_with_logits(logits, batch["label"], batch["weight"])
    return {"pseudo": Loss(losses, float(batch["weight"].sum()))}


# HiSAC: the user side is compressed once and cached; candidates read the cache alone.


class CachedAgents(nn.Module):
    """`Scorer` whose state is a fixed number of interest agents, voted for over frozen semantic ids."""

    agents = 3
    schema = {"history": Field("int64", ("rows", 6))}
    candidate_schema = {"items": Field("int64", ("rows", "candidates"))}

    def __init__(self, codes: Tensor, n_items: int):
        super().__init__()
        self.items = nn.Embedding(n_items, DIM)
        self.register_buffer("codes", codes)
        self.codes: Tensor

    def user(self, batch: Batch) -> State:
        past = batch["history"]
        votes = one_hot(self.codes[past], int(self.codes.max()) + 1).float() * (past > 0).unsqueeze(-1)
        chosen = votes.sum(1).topk(self.agents).indices
        routing = votes.gather(2, chosen.unsqueeze(1).expand(-1, past.shape[1], -1))
        return {"agents": routing.transpose(1, 2) @ self.items(past)}

    def score(self, state: State, candidates: Batch) -> Outputs:
        item = self.items(candidates["items"])
        attended = (item @ state["agents"].transpose(1, 2)).softmax(-1) @ state["agents"]
        return Outputs({"click": (item * attended).sum(-1)}, shared=attended)


# MARIGOLD: a balancer that looks at the losses again after the step, with no second backward.


class AfterStep:
    """`Balancer`: λ falls for the task that the last step helped most."""

    accumulates = False

    def __init__(self, rate: float = 1.0):
        self.rate, self.weights, self.before, self.unmoved = rate, dict[str, float](), dict[str, float](), dict[str, float]()

    def backward(self, losses: Mapping[str, Tensor], shared: Tensor | None, reevaluate: Any) -> Mapping[str, float]:
        self.weights = {name: self.weights.get(name, 1 / len(losses)) for name in losses}
        self.before = {name: float(loss.detach()) for name, loss in losses.items()}
        self.unmoved = dict(reevaluate())
        torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum().backward()
        return self.weights

    def after_step(self, reevaluate: Any) -> None:
        gain = {name: self.before[name] - after for name, after in reevaluate().items()}
        raw = {name: self.weights[name] * float(np.exp(-self.rate * gain[name])) for name in gain}
        self.weights = {name: value / sum(raw.values()) for name, value in raw.items()}

    def state_dict(self) -> dict[str, float]:
        return dict(self.weights)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.weights = dict(state)


class TwoTasks(nn.Module):
    """A shared layer with dropout and two heads on one label scale apart."""

    def __init__(self) -> None:
        super().__init__()
        self.bottom, self.heads = nn.Sequential(nn.Linear(4, DIM), nn.Dropout(0.5)), nn.Linear(DIM, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.bottom(x)
        return shared, self.heads(shared)


def two_losses(model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
    shared, out = model(batch["x"])
    errors = (out - batch["y"]) ** 2
    return {name: Loss(errors[:, task].mean(), len(errors), shared) for task, name in enumerate(("click", "buy"))}


# LSPR: one objective, two forwards, the second on perturbed embeddings.


@dataclass(frozen=True)
class Perturbed:
    """(1 - α) BCE(y, f(x)) + α BCE(y, f(x + noise)); the noise is the step's own stream."""

    alpha: float = 0.3
    sigma: float = 0.1

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        noise = torch.randn(batch["x"].shape, generator=services.generator) * self.sigma
        clean, moved = (model(x).squeeze(-1) for x in (batch["x"], batch["x"] + noise))
        losses = [binary_cross_entropy_with_logits(logits, batch["y"]) for logits in (clean, moved)]
        mean = (1 - self.alpha) * losses[0] + self.alpha * losses[1]
        return {"click": Loss(mean, len(clean), metrics={"clean": losses[0].item(), "perturbed": losses[1].item()})}


# LIGER: a retriever that cannot be trained without artifacts, and answers by generating codes and matching vectors.


class CodesAndVectors(Fake):
    """`Retriever`: next-code cross-entropy plus a dense cosine loss; both artifacts are named in needs."""

    needs = ("semantic_ids", "item_vectors")

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        codes, vectors = artifacts["semantic_ids"], artifacts["item_vectors"]
        self.make(interactions.n_items)
        self.register_buffer("codes", torch.from_numpy(codes))
        self.register_buffer("vectors", torch.from_numpy(vectors))
        self.to_code, self.to_vector = nn.Linear(DIM, int(codes.max()) + 1), nn.Linear(DIM, vectors.shape[1])
        newest = torch.from_numpy(interactions.history.last(3).astype(np.int64))
        kept = newest[(newest > 0).all(1)]
        return Learned(self, [self.joint], Fixed({"past": kept[:, :2], "next": kept[:, 2]}, 16, self.seed), needs=self.needs)

    def joint(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        codes = torch.from_numpy(services.artifacts["semantic_ids"])
        hidden = self.items(batch["past"]).mean(1)
        target = self.get_buffer("vectors")[batch["next"]]
        dense = 1 - cosine_similarity(self.to_vector(hidden), target).mean()
        return {
            "code": Loss(cross_entropy(self.to_code(hidden), codes[batch["next"]]), len(hidden)),
            "dense": Loss(dense, len(hidden)),
        }

    @torch.no_grad()
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        hidden = self.items(torch.from_numpy(requests.history.last(2).astype(np.int64))).mean(1)
        generated = self.to_code(hidden).softmax(-1)[:, self.get_buffer("codes")]
        dense = cosine_similarity(self.to_vector(hidden).unsqueeze(1), self.get_buffer("vectors").unsqueeze(0), dim=-1)
        return top_k(allowed.mask((generated + dense).numpy()), k, "codes_and_vectors", seed=self.seed)
