"""DCN-V2 over a plain table: the cross network and tower of the ranker `dcnv2`, on one embedding a field.

    x_0 = dropout(LayerNorm(one vector a field)),   logit = w · [cross(x_0), MLP(x_0)]

It presents itself as a scorer of lists with one candidate each, so it is trained by the very objectives of the product: `user`
gives the codes, `score` the logit [B, 1] of TASK. All fields share one `nn.Embedding`, each with its own range of rows, so that
what `nn.perturb` moves is each field's vector. Code 0 is a field's unknown value.
Shapes: codes [B, F] -> logits [B, 1]. Cost O(layers · (F · dim)²) a row.
Paper: Wang et al., WWW 2021. Our reading: docs/papers/dcnv2.md.
"""

from collections.abc import Sequence
from math import log
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from headrace.contracts.batch import Batch, Field, Schema
from headrace.contracts.config import config
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.seams import Outputs, State
from headrace.methods.rank.dcnv2 import CrossNet
from headrace.nn.tower import tower
from headrace.objectives.choice import TASK

_AT_ONCE = 16_384


@config
class FlatConfig:
    dim: Annotated[int, Gt(0)] = 8
    cross_layers: Annotated[int, Gt(0)] = 2
    hidden: tuple[int, ...] = (64, 32)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Of x_0, which the crosses read too, and of the tower's layers."""


class FlatDCNv2(nn.Module):
    """sizes: codes of each field. rate: of positives, which is what it says before it has learned anything."""

    candidate_schema: Schema = {"items": Field("int64", ("rows", "candidates"))}  # noqa: RUF012

    def __init__(self, config: FlatConfig, sizes: Sequence[int], *, rate: float = 0.5):
        super().__init__()
        width = len(sizes) * config.dim
        self.schema: Schema = {"codes": Field("int64", ("rows", len(sizes)))}
        self.register_buffer("first", torch.tensor([0, *np.cumsum(sizes)[:-1]]))
        self.embedding = nn.Embedding(sum(sizes), config.dim)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.norm, self.cross = nn.LayerNorm(width), CrossNet(width, config.cross_layers)
        self.drop = nn.Dropout(config.dropout)
        self.deep, out = tower(width, config.hidden, config.dropout)
        self.head = nn.Linear(width + out, 1)
        nn.init.constant_(self.head.bias, log(rate / (1 - rate)))

    def user(self, batch: Batch) -> State:
        return {"codes": batch["codes"]}

    def score(self, state: State, candidates: Batch) -> Outputs:
        x0 = self.drop(self.norm(self.embedding(state["codes"] + self.get_buffer("first")).flatten(1)))
        shared = torch.cat([self.cross(x0), self.deep(x0)], -1)
        return Outputs({TASK: self.head(shared)}, shared=shared)


def chances(model: FlatDCNv2, codes: Int64) -> Float64:
    """[n, F] -> [n], without noise and without dropout."""
    with torch.no_grad():
        model.eval()
        parts = [model.score({"codes": part}, {}).logits[TASK] for part in torch.split(torch.from_numpy(codes), _AT_ONCE)]
    return torch.cat(parts).squeeze(1).double().sigmoid().numpy()
