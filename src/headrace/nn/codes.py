"""An encoder-decoder that reads and writes codes: the body of generative retrieval.

    x = √d · E[tokens], and what a caller adds;   memory = Encoder(x)
    h = Decoder(E[0], E[c_1], .., E[c_{L-1}]; memory),   log P(c_l | c_<l) = log softmax over level l's block of  h_l · E

E is one table for what is read and what is written, a row a token (`encode/semantic_ids/ids.py`): token 0 is padding and what the
decoder begins with. A level's softmax is over its own symbols alone, so no code of another level has a probability.
Shapes: tokens [B, T] -> memory [B, T, d] -> states [B, L, d] -> [B, L, sizes[level]]. Cost O(layers (T d² + T² d)).
First weights are drawn from torch's stream. Paper: TIGER (arXiv 2305.05065), section 3.2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from headrace.nn.body.cache import Cache
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.stack import Stack


def code_body(
    *, dim: int, layers: int, heads: int, hidden: int = 0, dropout: float = 0.0, decoder_layers: int = 0
) -> TransformerConfig:
    """T5's shape: relative positions, ReLU, root-mean-square norms before each sub-layer, no biases. layers: of either side."""
    return TransformerConfig(
        dim=dim, encoder_layers=layers, decoder_layers=decoder_layers or layers, heads=heads, hidden=hidden, dropout=dropout,
        cross="standard", position="t5", activation="relu", norm="rms", bias="none",
    )  # fmt: skip


class CodeWriter(nn.Module):
    """sizes: symbols a level. of: both sides' body, without a vocabulary: tokens are this module's."""

    def __init__(self, sizes: Sequence[int], of: TransformerConfig):
        super().__init__()
        self.sizes, self.of = tuple(sizes), of
        self.starts = [1 + sum(self.sizes[:level]) for level in range(len(self.sizes))]
        self.tokens = nn.Embedding(1 + sum(self.sizes), of.dim)
        nn.init.normal_(self.tokens.weight, std=of.dim**-0.5)
        self.encoder, self.decoder = Stack(of, "encoder"), Stack(of, "decoder")

    @property
    def levels(self) -> int:
        return len(self.sizes)

    def embed(self, tokens: Tensor) -> Tensor:
        """[..] -> [.., d]."""
        found: Tensor = self.tokens(tokens) * self.of.dim**0.5
        return found

    def read(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """x [B, T, d], of which `there` [B, T] is no padding -> memory [B, T, d]."""
        memory: Tensor = self.encoder(x, Inputs(there=there)).last
        return memory

    def states(self, tokens: Tensor, memory: Tensor, there: Tensor | None = None) -> Tensor:
        """All levels at once, where the answer is known: tokens [B, L] -> [B, L, d], row l having read the codes before l."""
        read = torch.cat([tokens.new_zeros(len(tokens), 1), tokens[:, :-1]], 1)
        return self.next_states(self.embed(read), memory, there)

    def next_states(self, x: Tensor, memory: Tensor, there: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """x [B, t, d]: embedded tokens that follow those in the cache -> [B, t, d]."""
        found: Tensor = self.decoder(x, Inputs(), memory=memory, memory_there=there, cache=cache).last
        return found

    def vectors(self, level: int) -> Tensor:
        """[sizes[level], d]: a logit is a state's product with one of them."""
        start = self.starts[level]
        return self.tokens.weight[start : start + self.sizes[level]]

    def log_probabilities(self, states: Tensor, level: int) -> Tensor:
        """[.., d] -> [.., sizes[level]]."""
        return torch.log_softmax(states @ self.vectors(level).T, -1)

    def cache(self, rows: int) -> Cache:
        """For as many rows to be written a level at a time."""
        return Cache(len(self.decoder.blocks), rows=rows, extent=self.levels)


def padding(tokens: Tensor) -> Tensor | None:
    """Where tokens [B, T] are none of it; None where there is none at all, which spares every layer a mask."""
    there = tokens > 0
    return None if bool(there.all()) else there
