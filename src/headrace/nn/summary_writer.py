"""A small decoder that reads a user's token states and writes what they are about, in words.

    u_t = Decoder(E[bos], E[y_1], .., E[y_{t-1}]; memory),      log P(y_t | y_<t, memory) = log softmax(u_t · E / √d)[y_t]
    memory = [r; W x_1 .. W x_S]

x: an encoder's states of whatever width, of all sessions in one row: it is here that sessions meet (fusion in the decoder).
r: one learned vector that is always there, so that a user of whom nothing is known has something to read. T5's shape: relative
positions, ReLU, norms in front (of layers: exported files know no other), maps without biases, a tied output scaled by 1/√d.
Shapes: states [R, S, m], there [R, S], tokens [R, T] -> [R, T, d]. Cost O(layers (T d² + T² d + T S d + S d²)) a row, and O(V d)
for each token that is to be said.
Use it where words are to be learned from a user's past, or its states are to be summed up by one that could have said them. A
pooled vector is far cheaper where neither is wanted. First weights are drawn from torch's stream.
Paper: EmbSum (arXiv 2405.11441), its decoder. Our reading: docs/papers/embsum.md.
"""

from typing import cast

import torch
from torch import Tensor, nn

from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.decode.codes import BodySteps
from headrace.nn.decode.greedy import greedy
from headrace.nn.decode.plain import PlainSteps, is_plain


class SummaryWriter(nn.Module):
    """width: of the states that are read. first, last: the tokens that begin and end. never: others that are no words, as 0."""

    def __init__(
        self, *, width: int, dim: int, layers: int, heads: int, vocabulary: int, first: int, last: int,
        never: tuple[int, ...] = (), dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.first, self.last, self.never = first, last, tuple(sorted({0, first, *never} - {last}))
        self.decoder = Transformer(
            TransformerConfig(
                dim=dim, decoder_layers=layers, heads=heads, vocabulary=vocabulary, dropout=dropout, cross="standard",
                position="t5", activation="relu", bias="none",
            ),
            "decoder",
        )  # fmt: skip
        # as large as what layers add to it; the output, which is the same table, is scaled back
        nn.init.normal_(cast(nn.Embedding, self.decoder.embedding.tokens).weight)
        self.map, self.rest = nn.Linear(width, dim, bias=False), nn.Parameter(torch.randn(dim))

    def memory(self, states: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """[R, S, width], [R, S] -> [R, S + 1, d], [R, S + 1]."""
        mapped, rows = self.map(states), states.shape[0]
        rest = self.rest.to(mapped.dtype).expand(rows, 1, -1)
        return torch.cat([rest, mapped], 1), torch.cat([there.new_ones((rows, 1)), there], 1)

    def read(self, summary: Tensor, memory: Tensor, there: Tensor) -> Tensor:
        """The words being known: tokens [R, T], 0 behind the end -> states [R, T, d], that of place t having read those before t.

        What a state is to say is the token at its place; the first has read no word.
        """
        tokens = torch.cat([torch.full_like(summary[:, :1], self.first), summary[:, :-1]], 1)
        found: Tensor = self.decoder(Inputs(ids=tokens), memory=memory, memory_there=there).last
        return found

    def begun(self, memory: Tensor, there: Tensor) -> Tensor:
        """[R, d]: the state that has read no word."""
        tokens = torch.full_like(there[:, :1], self.first, dtype=torch.int64)
        found: Tensor = self.decoder(Inputs(ids=tokens), memory=memory, memory_there=there).last
        return found[:, 0]

    @torch.no_grad()
    def written(self, memory: Tensor, there: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """Its own words, greedily: [R, most], 0 behind the end; and the state [R, d] that said the end, or the last of them."""
        kind = PlainSteps if is_plain(self.decoder) else BodySteps
        steps = kind(self.decoder, memory, there, most)
        return greedy(
            steps, self.logits, rows=len(memory), first=self.first, last=self.last, never=self.never, most=most,
            device=memory.device,
        )  # fmt: skip

    def logits(self, states: Tensor) -> Tensor:
        """[.., d] -> [.., vocabulary]."""
        return states @ self.words().T

    def words(self) -> Tensor:
        """[vocabulary, d]: a logit is a state's product with one of them."""
        scaled: Tensor = self.decoder.output_vectors() * self.decoder.of.dim**-0.5
        return scaled


def last_states(states: Tensor, summary: Tensor) -> Tensor:
    """[R, T, d], tokens [R, T] -> [R, d]: of the state that is to say each row's last token; the first where there is none."""
    place = ((summary > 0).sum(1) - 1).clamp(min=0)
    return states[torch.arange(len(states), device=states.device), place]
