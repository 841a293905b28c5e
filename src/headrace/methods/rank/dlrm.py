"""DLRM: every field a vector of one size, and the products of all pairs of them beside what is dense.

    d = MLP_bottom(dense),   logit = MLP_top([d, v_i · v_j for i < j]),   v = [d, fields]

Fields: the user's features, their taste (the mean of the newest items' embeddings) and what they liked (the means of these items'
features), the candidate, its features, and what the pair has. Dense: log popularity and what each retriever said.
Shapes: user side [R, ..] once, candidates [R, C, F, dim] -> logits [R, C]. Cost O(F² dim) a candidate.
Use it where fields are many and the tables are what is large: the pairs cost no weights, so a field more is its table more.
Relation to `dcnv2`: that one weighs every pair of numbers, this one says a pair of fields in one number, and is smaller.
Paper: Naumov et al., arXiv 1906.00091, section 2. Our reading: docs/papers/dlrm.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Outputs, State
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.pooled_scorer import PooledScorer
from headrace.nn.tower import tower
from headrace.objectives.choice import TASK, ChoiceConfig, learned_choice


@config
class DLRMConfig(ChoiceConfig):
    dim: Annotated[int, Gt(0)] = 16
    """Of every field's vector."""
    bottom: tuple[int, ...] = (32,)
    hidden: tuple[int, ...] = (64, 32)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20


class DLRM(PooledScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = DLRMConfig
    revision = 1
    config: DLRMConfig
    places: Tensor

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def score(self, state: State, candidates: Batch) -> Outputs:
        items = self.fields.known(candidates["items"])
        dense = torch.cat([self.fields.popular(items), candidates["retrieval"]], -1)
        summary = self.to_dim(self.bottom(dense))
        user = torch.cat([state["features"], state["taste"], state["liked"]], -1).unsqueeze(1).expand(*items.shape, -1)
        own = [self.fields.items(items), self.fields.item(items), self.fields.pair(candidates)]
        fields = torch.cat([summary, user, *own], -1).view(*items.shape, self.count, self.config.dim)
        shared = self.deep(torch.cat([summary, pairs_of(fields, self.places)], -1))
        return Outputs({TASK: self.head(shared).squeeze(-1)}, shared=shared)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings, dim = self.config, self.config.dim
        self.fields = FieldEmbeddings(shapes, dim, dim)
        self.bottom, out = tower(1 + 3 * stages, settings.bottom, 0.0)
        self.to_dim = nn.Linear(out, dim)
        self.count = count = 1 + (self.fields.user_width + 2 * (dim + self.fields.item_width) + self.fields.pair_width) // dim
        self.register_buffer("places", upper(count), persistent=False)
        self.deep, out = tower(dim + count * (count - 1) // 2, settings.hidden, settings.dropout)
        self.head = nn.Linear(out, 1)


def pairs_of(vectors: Tensor, places: Tensor) -> Tensor:
    """vectors [.., F, d] -> the products of each with each other, once, [.., F (F - 1) / 2]. places: `upper(F)`."""
    return (vectors @ vectors.transpose(-1, -2)).flatten(-2)[..., places]


def upper(count: int) -> Tensor:
    """Where the pairs of different ones stand in their flattened table, [F (F - 1) / 2]."""
    row, column = torch.triu_indices(count, count, offset=1)
    places: Tensor = row * count + column
    return places
