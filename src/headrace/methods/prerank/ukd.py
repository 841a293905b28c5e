"""A teacher that may not know what was shown labels the rest, and where its two heads differ it speaks softly.

    z = MLP(x_0),   f_1, f_2, d = heads of z;   the teacher is trained by `objectives.domain`
    ỹ = σ((f_1 + f_2) / 2)  (through the ranker's calibration, where the plan has one)
    u = (f_1 - f_2)²,       w = exp(-u) / mean of exp(-u) over the unshown candidates learned from

Shapes: x_0 as `nn.pooled_scorer` joins it, logits and weights [R, C]. Cost: training the teacher, and two passes of it.
A classifier of shown and unshown sits on z with its gradient reversed, so that z holds what both populations have in common. The
heads start differently and have dropout of their own; where no label binds them they drift apart, and u grows.
The published student learns its uncertainty itself, as exp(-u) BCE + u; here u is read off the teacher, so that a pre-ranker
keeps one head and nothing is added to serving. Use it when shown and unshown candidates look very different. It loses to `distil`
and `ukdsl` where they differ in exactly what the label hangs on: then that is what the teacher was made to forget.
Paper: UKD as it stands among the baselines of arXiv 2602.20995, which gives no more than this. Our reading: docs/papers/ukdsl.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Lt
from torch import nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Float64, Requests
from headrace.contracts.seams import Learned, Outputs, PseudoLabels, State
from headrace.contracts.training import TrainConfig
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.pooled_scorer import PooledScorer
from headrace.nn.tower import tower
from headrace.objectives.choice import TASK
from headrace.objectives.domain import DOMAIN, SHOWN, UNSHOWN, TwoHeads, reversed_gradient

HEADS = ("first", "second")


@config
class UKDConfig:
    """The teacher's: the labeler has no setting of its own."""

    reversal: Annotated[float, Ge(0)] = 0.1
    """How hard the features are pushed to hide what was shown. 0: not at all."""
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    hidden: Annotated[int, Gt(0)] = 64
    head: Annotated[int, Gt(0)] = 16
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20
    batch_size: Annotated[int, Gt(0)] = 64
    unshown: Annotated[int, Gt(0)] = 16
    """Unshown candidates a request, drawn afresh each epoch."""
    train: TrainConfig = TrainConfig(epochs=10, patience=2, weight_decay=1e-4)
    width: ClassVar[int] = 1  # lists are learned whole, so it has no say


class ClickAdaptive(PooledScorer):
    """The teacher, a learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = UKDConfig
    revision = 1
    probabilities = True
    config: UKDConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        lists, size = artifacts["candidate_lists"], artifacts["candidate_lists"].label.shape
        both = replace(lists, pseudo=PseudoLabels(np.zeros(size, np.float32), np.ones(size, np.float32)))
        seen = {**artifacts, "candidate_lists": both}
        batches = self.set_up(interactions, seen, whole=True, unshown=self.config.unshown)
        weights = {SHOWN: 0.5, UNSHOWN: 0.5}
        return Learned(self, [TwoHeads(TASK, HEADS)], batches, needs=self.needs, weights=weights)

    def score(self, state: State, candidates: Batch) -> Outputs:
        shared = self.deep(self.norm(self.joined(state, candidates)))
        first, second = (head(shared).squeeze(-1) for head in (self.first, self.second))
        domain = self.domain(reversed_gradient(shared, self.config.reversal)).squeeze(-1)
        return Outputs({TASK: (first + second) / 2, **dict(zip(HEADS, (first, second), strict=True)), DOMAIN: domain}, shared)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings = self.config
        self.fields = FieldEmbeddings(shapes, settings.item_dim, settings.feature_dim)
        width = self.joined_width(stages)
        self.norm = nn.LayerNorm(width)
        self.deep, out = tower(width, (settings.hidden,), settings.dropout)
        self.first, self.second, self.domain = (self._head(out) for _ in range(3))

    def _head(self, width: int) -> nn.Sequential:
        layers, out = tower(width, (self.config.head,), self.config.dropout)
        return layers.append(nn.Linear(out, 1))


class UKD:
    """A `PseudoLabeler`. needs: its own teacher, which also has `heads(requests, candidates)` -> head -> logits [R, C]."""

    Config = UKDConfig
    revision = 1
    needs = ("teacher",)
    own_teacher = "headrace.methods.prerank.ukd:ClickAdaptive"

    def __init__(self, config: UKDConfig, *, seed: int = 0):
        self.config, self.scale = config, 1.0

    def fit(self, lists: CandidateLists, artifacts: Mapping[str, Any]) -> None:
        """The scale on which weights have a mean of 1."""
        self.teacher, unshown = artifacts["teacher"], lists.unshown
        trust = self._trust(lists.requests, unshown)[unshown.there]
        self.scale = 1 / float(trust.mean()) if len(trust) else 1.0

    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels:
        there = unshown.there
        label = np.where(there, self.teacher(requests, unshown), 0)
        weight = np.where(there, self.scale * self._trust(requests, unshown), 0)
        return PseudoLabels(label.astype(np.float32), weight.astype(np.float32))

    def _trust(self, requests: Requests, candidates: Candidates) -> Float64:
        """exp(-u)."""
        first, second = (self.teacher.heads(requests, candidates)[head].astype(np.float64) for head in HEADS)
        trust: Float64 = np.exp(-((first - second) ** 2))
        return trust
