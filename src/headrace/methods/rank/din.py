"""Deep Interest Network: each candidate reads the history anew, and weighs every past item by what it has to do with it.

    a_t = MLP([e_t, q, e_t - q, e_t * q]),   u = sum over the history of a_t e_t,   logit = MLP([user, u, q, u * q, ...])

e_t, q: embedding and features of past item t and of the candidate. The weights are not normalised, so a long matching history
speaks louder. Shapes: state keeps the history [R, T, D]; score [R, C]. Cost O(T D attention_hidden) a candidate, T times DCN-V2's
pooling. The MLP's first layer is linear, so its parts for e_t and for q are worked out once each (parity is tested).
Use it when interests are many and a candidate concerns few of them, with some 100,000 choices to learn from. On small logs the
attention overfits: DCN-V2 with mean pooling is then the better ranker.
Paper: Zhou et al., KDD 2018, section 4.3 (equation 3). Our reading: docs/papers/din.md.
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
from headrace.nn.list_scorer import ListScorer
from headrace.nn.tower import tower
from headrace.objectives.choice import TASK, ChoiceConfig, learned_choice


@config
class DINConfig(ChoiceConfig):
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    attention_hidden: Annotated[int, Gt(0)] = 36
    hidden: tuple[int, ...] = (64, 32)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20


class TargetAttention(nn.Module):
    """past [R, T, D], there [R, T], target [R, C, D] -> [R, C, D]."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.past, self.target = nn.Linear(dim, hidden), nn.Linear(dim, hidden, bias=False)
        self.product, self.out = nn.Linear(dim, hidden, bias=False), nn.Linear(hidden, 1)
        self.act = nn.PReLU()

    def forward(self, past: Tensor, there: Tensor, target: Tensor) -> Tensor:
        # W [e, q, e - q, e * q] = (W1 + W3) e + (W2 - W3) q + W4 (e * q): `past`, `target` and `product` are those three.
        together = self.product(target.unsqueeze(2) * past.unsqueeze(1))  # [R, C, T, hidden]
        inside = self.act(together + self.past(past).unsqueeze(1) + self.target(target).unsqueeze(2))
        weights = self.out(inside).squeeze(-1) * there.unsqueeze(1)
        read: Tensor = weights @ past
        return read


class DIN(ListScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = DINConfig
    revision = 1
    config: DINConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def user(self, batch: Batch) -> State:
        past = self.fields.known(batch["history"])
        return {"features": self.fields.user(batch), "past": self._embedded(past), "there": past > 0}

    def score(self, state: State, candidates: Batch) -> Outputs:
        items = self.fields.known(candidates["items"])
        target = self._embedded(items)
        read = self.attention(state["past"], state["there"], target)
        # None where it would be of no width: the exported form can't widen nothing
        user = [state["features"].unsqueeze(1).expand(*items.shape, -1)] if self.fields.user_width else []
        popularity = self.fields.popular(items)
        x = torch.cat([*user, read, target, read * target, popularity, candidates["retrieval"], self.fields.pair(candidates)], -1)
        shared = self.deep(self.norm(x))
        return Outputs({TASK: self.head(shared).squeeze(-1)}, shared=shared)

    def _embedded(self, items: Tensor) -> Tensor:
        """[..] -> [.., D]."""
        return torch.cat([self.fields.items(items), self.fields.item(items)], -1)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings = self.config
        self.fields = FieldEmbeddings(shapes, settings.item_dim, settings.feature_dim)
        dim = settings.item_dim + self.fields.item_width
        self.attention = TargetAttention(dim, settings.attention_hidden)
        width = self.fields.user_width + 3 * dim + 1 + 3 * stages + self.fields.pair_width
        self.norm = nn.LayerNorm(width)
        self.deep, out = tower(width, settings.hidden, settings.dropout, nn.PReLU)
        self.head = nn.Linear(out, 1)
