"""An encoder-decoder that reads and writes codes: the body of generative retrieval.

    memory = Encoder(E[tokens]), or of vectors that a caller made of them
    h = Decoder(E[0], E[c_1], .., E[c_{L-1}]; memory),   log P(c_l | c_<l) = log softmax over level l's block of  h_l · W

A row of E and W is a token (`encode/semantic_ids/ids.py`): token 0 is padding and what the decoder begins with. A level's softmax
is over its own symbols alone, so no code of another level has a probability. To search for the best items: `nn.decode`.
Shapes: tokens [B, T] -> memory [B, T, d] -> states [B, L, d] -> [B, L, sizes[level]]. Cost O(layers (T d² + T² d)).
First weights are drawn from torch's stream. Paper: TIGER (arXiv 2305.05065), section 3.2.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import EncoderDecoder


def code_body(
    *, dim: int, layers: int, heads: int, hidden: int = 0, dropout: float = 0.0, decoder_layers: int = 0
) -> TransformerConfig:
    """T5's shape: relative positions, ReLU, root-mean-square norms before each sub-layer, no biases. layers: of either side."""
    return TransformerConfig(
        dim=dim, encoder_layers=layers, decoder_layers=decoder_layers or layers, heads=heads, hidden=hidden, dropout=dropout,
        cross="standard", position="t5", activation="relu", norm="rms", bias="none",
    )  # fmt: skip


class CodeWriter(nn.Module):
    """sizes: symbols a level. of: both sides' body; its vocabulary is made of the sizes. starts: each level's first token."""

    def __init__(self, sizes: Sequence[int], of: TransformerConfig):
        super().__init__()
        self.sizes = tuple(sizes)
        self.starts = [1 + sum(self.sizes[:level]) for level in range(len(self.sizes))]
        body = EncoderDecoder(replace(of, vocabulary=1 + sum(self.sizes), tie=False))
        self.encoder, self.decoder = body.encoder, body.decoder
        self.encoder.output = None  # what an encoder read is no word
        # As large as what layers add to it: norms stand before the layers, so what came in must not drown.
        nn.init.normal_(self.encoder.embedding.get_submodule("tokens").get_parameter("weight"))

    @property
    def levels(self) -> int:
        return len(self.sizes)

    def embed(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, T, d], for who adds something to it."""
        found: Tensor = self.encoder.embedding(Inputs(ids=tokens))
        return found

    def read(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """Tokens [B, T] or vectors [B, T, d], of which `there` [B, T] is no padding -> memory [B, T, d]."""
        inputs = Inputs(vectors=x, there=there) if x.is_floating_point() else Inputs(ids=x, there=there)
        memory: Tensor = self.encoder(inputs).last
        return memory

    def states(self, tokens: Tensor, memory: Tensor, there: Tensor | None = None) -> Tensor:
        """Where the answer is known, all levels at once: tokens [B, L] -> [B, L, d], row l having read the codes before l."""
        read = torch.cat([tokens.new_zeros(len(tokens), 1), tokens[:, :-1]], 1)
        found: Tensor = self.decoder(Inputs(ids=read), memory=memory, memory_there=there).last
        return found

    def vectors(self, level: int) -> Tensor:
        """[sizes[level], d]: a logit is a state's product with one of them."""
        start = self.starts[level]
        return self.decoder.output_vectors()[start : start + self.sizes[level]]


def padding(tokens: Tensor) -> Tensor | None:
    """Where tokens [B, T] are none of it; None where there is none at all, which spares every layer a mask."""
    there = tokens > 0
    return None if bool(there.all()) else there
