"""A baseline for learning to say what a user likes: EmbSum without its words, its user vectors foretelling genres one by one.

    loss = choice + w · sum over genres g of BCE(W [a_1 .. a_m] + b, g is in the user's summary), mean over users who have one

The same users, sentences and weight as where the decoder learns them, and nothing but which genres they name is learned of them:
if this gains as much, it is what is said that helps, and not the saying. Shapes: side [R, m, d'], labels [R, genres].
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from headrace.contracts.batch import Batch
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Loss, Objective, Outputs, Services, State
from headrace.data.rank_inputs import USERS
from headrace.methods.rank.embsum import EmbSum, EmbSumConfig

GENRES = "genres"
_WEIGHT = 0.05
_BETWEEN = re.compile(", |; recently ")


class GenreHead(EmbSum):
    """`summary_weight` is 0. needs: the users' summaries, "likes a, b; recently c"."""

    def __init__(self, config: EmbSumConfig, *, seed: int = 0):
        super().__init__(config, seed=seed)
        self.reads_users, self._names = True, 0

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        table = named_in(artifacts["summaries"].texts)
        self._names = table.shape[1]
        made = super().learn(interactions, artifacts)
        (base,) = made.objectives
        return replace(made, objectives=[_WithGenres(base, table)], weights={**made.weights, GENRES: _WEIGHT})

    def _layers(self) -> None:
        super()._layers()
        self.head = nn.Linear(self.config.user_vectors * self.config.side_dim, self._names)


class _WithGenres:
    """table [n_users, genres]; a row of zeros has no summary, and no say."""

    def __init__(self, base: Objective, table: Tensor):
        self.base, self.table = base, table

    def counts(self, batch: Batch) -> Mapping[str, float]:
        counts: Mapping[str, float] = self.base.counts(batch)  # type: ignore[attr-defined]
        return {**counts, GENRES: float(self.table[batch[USERS]].any(1).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        state, labels = model.user(batch), self.table[batch[USERS]]
        told = labels.any(1, keepdim=True)
        each = binary_cross_entropy_with_logits(model.head(state["side"].flatten(1)), labels, reduction="none")
        mean = (each * told).sum() / told.sum().clamp(min=1)
        return {**self.base(_Asked(model, state), batch, services), GENRES: Loss(mean, self.counts(batch)[GENRES])}


class _Asked:
    """A scorer whose user side has been worked out."""

    def __init__(self, scorer: GenreHead, state: State):
        self.scorer, self.state = scorer, state

    def user(self, batch: Batch) -> State:
        return self.state

    def score(self, state: State, candidates: Batch) -> Outputs:
        return self.scorer.score(state, candidates)


def named_in(texts: tuple[str, ...]) -> Tensor:
    """[n_users, genres], 1 for each that a user's sentence names; genres in the alphabet's order."""
    said = [{one.strip() for one in _BETWEEN.split(text.removeprefix("likes "))} for text in texts]
    names = sorted({name for of in said for name in of if name})
    return torch.tensor([[float(name in of) for name in names] for of in said])
