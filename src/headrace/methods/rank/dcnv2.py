"""DCN-V2: explicit crosses of all features, beside a deep tower, over one request's candidates.

    x_{l+1} = x_0 * (W_l x_l + b_l) + x_l,      logit = w · [x_L, MLP(x_0)]

x_0 joins: the user's features and taste (means over the newest history of item and category embeddings), the candidate's
embedding, features and log popularity, their products, what each retriever said of it, and the features the pair has.
Shapes: user side [R, ..] once, candidates [R, C, D] -> logits [R, C]. Cost O(layers · D²) a candidate.
Trained listwise on the retrievers' own candidates of a later window than they were fitted on, so it learns to correct them.
Use it when there are features worth crossing and 10,000 requests and more; below that a tuned LightGBM is hard to beat.
Paper: Wang et al., WWW 2021, equations 1 and 2 (full-rank cross, parallel structure).
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
class DCNv2Config(ChoiceConfig):
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    cross_layers: Annotated[int, Gt(0)] = 2
    hidden: tuple[int, ...] = (64, 32)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20


class CrossNet(nn.Module):
    """[.., D] -> [.., D]. With W = 0 and b = 0 it is the identity."""

    def __init__(self, dim: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))

    def forward(self, x0: Tensor) -> Tensor:
        x = x0
        for layer in self.layers:
            x = x0 * layer(x) + x
        return x


class DCNv2(PooledScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = DCNv2Config
    revision = 2
    config: DCNv2Config

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def score(self, state: State, candidates: Batch) -> Outputs:
        x0 = self.norm(self.joined(state, candidates))
        shared = torch.cat([self.cross(x0), self.deep(x0)], -1)
        return Outputs({TASK: self.head(shared).squeeze(-1)}, shared=shared)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings = self.config
        self.fields = FieldEmbeddings(shapes, settings.item_dim, settings.feature_dim)
        width = self.joined_width(stages)
        self.norm, self.cross = nn.LayerNorm(width), CrossNet(width, settings.cross_layers)
        self.deep, out = tower(width, settings.hidden, settings.dropout)
        self.head = nn.Linear(width + out, 1)
