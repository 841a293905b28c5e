"""The one Transformer: a side alone, or an encoder whose states a decoder reads.

    body = Transformer(TransformerConfig(decoder_layers=4, vocabulary=1000), "decoder")
    logits = body.logits(body(Inputs(ids=ids)).last)              ids [B, T] -> [B, T, vocabulary]

    cache = body.cache(rows=len(ids), extent=ids.shape[1] + 20)   then token by token, the past read once
    body(Inputs(ids=ids), cache=cache); body(Inputs(ids=next_ids), cache=cache)

First weights are drawn from torch's stream: make it inside `nn.seeded.seeded`. Cost of a pass O(layers · (T d² + T² d)).
Papers: TorchScale (arXiv 2211.13184) for the idea of one body with switches; each switch's paper stands in its own file.
"""

from typing import cast

from torch import Tensor, nn

from headrace.contracts.errors import ConfigError, DataError
from headrace.nn.body.cache import Cache
from headrace.nn.body.call import Hidden, Inputs
from headrace.nn.body.config import Side, TransformerConfig
from headrace.nn.body.cut import Received, cut
from headrace.nn.body.embedding import Embedding
from headrace.nn.body.initialise import STD
from headrace.nn.body.stack import Stack
from headrace.nn.parallel.place import Cut, Place
from headrace.nn.parallel.vocabulary import Shared


class Transformer(nn.Module):
    """embedding: another side's, where both read the same tokens."""

    def __init__(self, of: TransformerConfig, side: Side, *, embedding: Embedding | None = None):
        super().__init__()
        layers = of.encoder_layers if side == "encoder" else of.decoder_layers
        if not layers:
            raise ConfigError(f"transformer: {side}_layers is 0: there is no {side} to make.")
        self.of, self.side = of, side
        self.embedding = Embedding(of) if embedding is None else embedding
        self.stack = Stack(of, side)
        self.words: Shared | None = None
        """Where the vocabulary is shared out (`cut`)."""
        self.output: nn.Module | None = None
        if of.vocabulary and not of.tie:
            self.output = nn.Linear(of.dim, of.vocabulary, bias=False)
            nn.init.normal_(self.output.weight, std=STD)

    def forward(
        self, inputs: Inputs, *, memory: Tensor | None = None, memory_there: Tensor | None = None,
        memory_branch: Tensor | None = None, cache: Cache | None = None,
    ) -> Hidden:  # fmt: skip
        """memory [B, S, d]: an encoder's last states, of which `memory_there` [B, S] are no padding."""
        if self.side == "decoder" and (memory is None) is not (self.of.cross == "none"):
            raise DataError(f"cross is {self.of.cross!r} and the decoder got {'no' if memory is None else 'a'} memory.")
        if inputs.adapter is not None and int(inputs.adapter.max()) > len(self.of.adapters):
            raise DataError(f"A row takes adapter {int(inputs.adapter.max())}; this body has {len(self.of.adapters)}, from 1.")
        found: Hidden = self.stack(
            self.embedding(inputs), inputs, memory=memory, memory_there=memory_there, memory_branch=memory_branch, cache=cache
        )
        return found

    def logits(self, hidden: Tensor) -> Tensor:
        """[.., d] -> [.., vocabulary]."""
        return hidden @ self.output_vectors().T

    def output_vectors(self) -> Tensor:
        """[vocabulary, d]: a logit is a product with one of them."""
        own = self.own_vectors()
        return own if self.words is None else self.words.all(own)

    def own_vectors(self) -> Tensor:
        """Those of them that this process has: all, unless the body is cut."""
        if self.output is not None:
            return cast(Tensor, self.output.weight)
        if self.embedding.tokens is None:
            raise DataError("This body has no vocabulary, so it has no logits.")
        return cast(Tensor, self.embedding.tokens.weight)

    def cache(self, *, rows: int, extent: int) -> Cache:
        """extent: tokens a row may come to have."""
        if self.side == "encoder":
            raise DataError("An encoder sees later tokens, so what it read can't be kept: only a decoder has a cache.")
        return Cache(len(self.stack.blocks), rows=rows, extent=extent)

    def cut(self, place: Place) -> Cut:
        """In place, to what one of many processes holds. This and the next three are what `nn.parallel.place.Divides` asks."""
        return cut(self, place)

    def receive(self, states: Tensor) -> None:
        cast(Received, self.embedding).handed_on = states

    def states(self, inputs: Inputs) -> Tensor:
        found: Hidden = self(inputs)
        return found.last

    def shape_of_states(self, inputs: Inputs) -> tuple[int, ...]:
        """[B, T, d]."""
        tokens = inputs.ids if inputs.ids is not None else inputs.vectors
        assert tokens is not None
        return (*tokens.shape[:2], self.of.dim)


class EncoderDecoder(nn.Module):
    """Both sides share one token embedding."""

    def __init__(self, of: TransformerConfig):
        super().__init__()
        self.of = of
        self.encoder = Transformer(of, "encoder")
        self.decoder = Transformer(of, "decoder", embedding=self.encoder.embedding)

    def forward(self, source: Inputs, target: Inputs, *, cache: Cache | None = None) -> Hidden:
        """The decoder's; its balance is the mean of both sides'. With a cache use `decoder` on the memory that was kept."""
        read = self.encoder(source)
        found = self.decoder(target, memory=read.last, memory_there=source.there, memory_branch=source.branch, cache=cache)
        return Hidden(found.last, found.exits, (read.balance + found.balance) / 2, read.chosen + found.chosen)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.decoder.logits(hidden)
