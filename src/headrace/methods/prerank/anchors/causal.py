"""A small language model whose words are codes: it reads the codes of a history and writes those of the next interest.

    P(a | history) = Π_l P(c_l | c_1 .. c_{l-1}, codes of the newest items)       a decoder alone, each level's softmax its own

Trained on what users chose, in time order, with popular items thinned (`data.thinned`): what everybody takes says little of a
user, and pseudo-labels are for what was not shown. It writes n interests by beam search inside the tree of codes that available
items have, level by level, so that beams share what they have in common (`nn.decode.continued`).
Shapes: history [R, T] -> tokens [R, T L] -> codes [R, n, L]. Cost of training O(layers (T L d² + T² L² d)) a window; of writing a
pass over the history and L - 1 tokens a beam.
Use it on CPUs and wherever codes and histories are all there is. A pre-trained language model knows words beside, at a thousand
times the cost. Relation to retrieve/tiger: the same codes without an encoder and without the level that tells items apart.
Paper: GPL (arXiv 2602.20995), which fine-tunes Qwen2.5-0.5B; this small body is our reading: docs/papers/gpl.md.
"""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.methods.prerank.anchors.coded import CodedWriter
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.decode.continued import Continuing


@config
class CausalConfig:
    dim: Annotated[int, Gt(0)] = 64
    layers: Annotated[int, Gt(0)] = 2
    heads: Annotated[int, Gt(0)] = 4
    hidden: Annotated[int, Ge(0)] = 0
    """Of the feed-forward; 0: 4·dim."""
    length: Annotated[int, Gt(0)] = 20
    """Newest items that are read."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    thin: Annotated[float, Ge(0)] = 1e-3
    """Share of all events above which an item's events are thinned; 0: none are."""
    batch_size: Annotated[int, Gt(0)] = 128
    train: TrainConfig = TrainConfig(epochs=10, weight_decay=1e-2)

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(f"causal: dim is {self.dim} and heads {self.heads}: dim must be a multiple of heads.")


class CausalWriter(CodedWriter):
    Config = CausalConfig
    revision = 1
    name = "causal"
    at_once, rows = 2048, 256

    def build(self) -> None:
        settings = self.config
        self.body = Transformer(
            TransformerConfig(
                dim=settings.dim, decoder_layers=settings.layers, heads=settings.heads, hidden=settings.hidden,
                vocabulary=1 + sum(self.sizes), tie=False, norm="rms", bias="none", dropout=settings.dropout,
            ),
            "decoder",
        )  # fmt: skip

    def read(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.body(Inputs(ids=tokens)).last
        return found

    def vectors(self) -> list[Tensor]:
        return list(torch.split(self.body.output_vectors()[1:], list(self.sizes)))

    def going_on(self, tokens: Tensor) -> Continuing:
        return Continuing(self.body, self.starts.tolist(), self.sizes, tokens)
