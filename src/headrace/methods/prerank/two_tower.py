"""Two-tower pre-ranking: a product of two vectors and a bias, cheap enough for every candidate the retrievers find.

    score(u, i) = user(u) · item(i) + b_i + w · said(u, i),   trained listwise on the retrievers' own candidates

An item's vector hangs on the item alone, so all are worked out before; what the retrievers said of a candidate (three numbers
each) joins as a plain weighted sum, so that no order that a retriever had is lost. A request costs one user tower and
O(C (d + retrievers)) for C candidates. Features of a pair (crosses of user and item, an item's trailing counts) are left to the
ranker: they hang on the request, so no tower could hold them. Relation to retrieve/two_tower: the same towers, but trained to
order what was retrieved, not to find it in the catalogue. Relation to the rankers: no crosses, which is the price of its speed.
Use it when there are more candidates than the ranker has time for. It loses to any ranker that sees user and item together.
Paper: the two-tower form of Wang et al., COLD, DLP-KDD 2020, section 2 (its "vector-product" model). Our reading:
docs/papers/two_tower.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Outputs, State
from headrace.nn.fields import FieldShapes
from headrace.nn.list_scorer import ListScorer
from headrace.nn.towers import Towers
from headrace.objectives.choice import TASK, ChoiceConfig, learned_choice
from headrace.objectives.pseudo import PSEUDO


@config
class TwoTowerConfig(ChoiceConfig):
    dim: Annotated[int, Gt(0)] = 32
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    hidden: Annotated[int, Gt(0)] = 64
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20
    pseudo_head: bool = False
    """True: pseudo-labels are learned by a head of their own, scales and a bias of the same products, which is not served."""

    def __post_init__(self) -> None:
        ChoiceConfig.__post_init__(self)
        if self.perturb is not None and self.perturb.at == "hidden":
            raise ConfigError(
                'perturb: at = "hidden" moves what a last layer reads, and a product of two vectors has none. '
                'Set at = "embedding" or "input".'
            )


class TwoTower(ListScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = TwoTowerConfig
    revision = 3
    reads_pairs = False
    fields_at = "towers.fields"
    config: TwoTowerConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def user(self, batch: Batch) -> State:
        return {"vector": self.towers.user(batch)}

    def score(self, state: State, candidates: Batch) -> Outputs:
        """In evaluation mode items' vectors are looked up."""
        items = self.towers.fields.known(candidates["items"])
        vectors = self.towers.item(items) if self.training else self.towers.vectors()[items]
        product = torch.einsum("rcd,rd->rc", vectors, state["vector"]) + self.bias(items).squeeze(-1)
        said = candidates["retrieval"] @ self.said
        logits = {TASK: product + said}
        if self.training and self.config.pseudo_head:
            logits[PSEUDO] = self.pseudo(vectors * state["vector"].unsqueeze(1)).squeeze(-1) + said
        return Outputs(logits)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings = self.config
        self.towers = Towers(
            shapes, item_dim=settings.item_dim, feature_dim=settings.feature_dim, hidden=settings.hidden, dim=settings.dim,
            dropout=settings.dropout,
        )  # fmt: skip
        self.bias = nn.Embedding(shapes.n_items, 1, padding_idx=0)
        nn.init.zeros_(self.bias.weight)
        self.said = nn.Parameter(torch.zeros(3 * stages))
        if settings.pseudo_head:
            self.pseudo = nn.Linear(settings.dim, 1)
            nn.init.ones_(self.pseudo.weight)
            nn.init.zeros_(self.pseudo.bias)
