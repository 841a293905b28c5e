"""MaskNet: what a request and a candidate are says which parts of the features count, a number at a time.

    v = W_2 relu(W_1 x_0),   block(h) = relu(LN(W_h (v * LN(h))))
    serial    h_{l+1} = block_l(h_l), h_0 = x_0;  logit = w · h_L
    parallel  logit = MLP([block_1(x_0), .., block_L(x_0)])

x_0 is what `dcnv2` reads: user, taste, candidate, their products, what each retriever said, the pair's features.
Shapes: user side [R, ..] once, candidates [R, C, D] -> logits [R, C]. Cost O(L · reduction · D²) a candidate.
Use it as `dcnv2`, whose crosses are products of degree L + 1 of single numbers; a mask is a product with a learned function of
all of them, at twice the weights and more. On small logs it overfits sooner.
Paper: Wang et al., arXiv 2102.07619, section 4 (figures 2 to 4). Our reading: docs/papers/masknet.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

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
class MaskNetConfig(ChoiceConfig):
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    structure: Literal["serial", "parallel"] = "parallel"
    blocks: Annotated[int, Gt(0)] = 3
    block_dim: Annotated[int, Gt(0)] = 64
    reduction: Annotated[float, Gt(0)] = 2.0
    """Width of a mask's hidden layer, in widths of what it masks."""
    hidden: tuple[int, ...] = (64, 32)
    """Above parallel blocks; serial ones need none."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20


class MaskBlock(nn.Module):
    """x0 [.., D], h [.., into] -> [.., out]."""

    def __init__(self, dim: int, into: int, out: int, reduction: float):
        super().__init__()
        inside = max(round(reduction * into), 1)
        self.mask = nn.Sequential(nn.Linear(dim, inside), nn.ReLU(), nn.Linear(inside, into))
        self.before, self.hidden, self.after = nn.LayerNorm(into), nn.Linear(into, out), nn.LayerNorm(out)

    def forward(self, x0: Tensor, h: Tensor) -> Tensor:
        return torch.relu(self.after(self.hidden(self.mask(x0) * self.before(h))))


class MaskNet(PooledScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = MaskNetConfig
    revision = 1
    config: MaskNetConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def score(self, state: State, candidates: Batch) -> Outputs:
        x0 = self.joined(state, candidates)
        if self.config.structure == "serial":
            shared = x0
            for block in self.blocks:
                shared = block(x0, shared)
        else:
            shared = self.deep(torch.cat([block(x0, x0) for block in self.blocks], -1))
        return Outputs({TASK: self.head(shared).squeeze(-1)}, shared=shared)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings, out = self.config, self.config.block_dim
        self.fields = FieldEmbeddings(shapes, settings.item_dim, settings.feature_dim)
        width = self.joined_width(stages)
        serial = settings.structure == "serial"
        inputs = [width, *[out if serial else width] * (settings.blocks - 1)]
        self.blocks = nn.ModuleList(MaskBlock(width, into, out, settings.reduction) for into in inputs)
        if not serial:
            self.deep, out = tower(settings.blocks * out, settings.hidden, settings.dropout)
        self.head = nn.Linear(out, 1)
