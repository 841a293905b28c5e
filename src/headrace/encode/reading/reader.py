"""A text as tokens, and each token as a vector of what it says where it stands: what rankers that read texts are built on.

    reader = Reader.fitted(ReaderConfig(kind="own"), texts, seed=0)
    ids = reader.tokenise(texts, 24)                      int64 [n, 24]: sos, the text's, eos; 0: nothing there
    states = reader.states(ids, ids > 0)                  [n, 24, dim]; zeros where nothing is there

Three kinds. own: a small Transformer encoder of `nn.body`, from random weights, over pieces learned from the items' texts.
minilm: all-MiniLM-L6-v2 as published, 384 numbers a token. hf: any encoder of Hugging Face, from a folder or the hub. Each is
trained with what reads it, or `frozen`. All that is not a weight, the tokenizer and a published model's shape, is kept as the
bytes of one JSON text beside the weights: a reader that was stored needs neither its source nor a network.
Ids are a reader's own, 1 to vocabulary - 1. A row may have gaps; the states of a row without a token are zeros.
Cost O(layers · (T d² + T² d)) a row. Siblings: `sentences` gives one frozen vector a text, much faster; `tfidf` reads no order.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Int64
from headrace.nn.seeded import seeded
from headrace.nn.state import arrays_of, load_arrays_into

DEFINITION = "definition"


@config
class ReaderConfig:
    """kind: "own" (trained from scratch), "minilm" (English, 22 million parameters) or "hf" (any encoder of Hugging Face)."""

    kind: Literal["own", "minilm", "hf"] = "own"
    name: str = ""
    """Of an hf reader: a folder with config.json, .safetensors and tokenizer.json, or "owner/name" on the hub."""
    dim: Annotated[int, Gt(0)] = 64
    """This and the next four are of an own reader; the published ones have their own."""
    layers: Annotated[int, Ge(0)] = 2
    """0: a token's vector is its embedding, whatever stands around it."""
    heads: Annotated[int, Gt(0)] = 4
    vocabulary: Annotated[int, Gt(0)] = 4000
    """Pieces at most, bytes and signs among them."""
    dropout: Annotated[float, Ge(0)] = 0.1
    tokens: Annotated[int, Gt(2)] = 24
    """Of an item, its two ends among them; what is longer is cut."""
    frozen: bool = False
    """The reader stays as it is, and only what stands on it learns."""

    def __post_init__(self) -> None:
        if (self.kind == "hf") is not bool(self.name):
            raise ConfigError(
                f'reader: kind = "{self.kind}" and name = "{self.name}". A name is for kind = "hf", which needs one: '
                'a folder, or "owner/name" on the hub.'
            )
        if self.kind == "own" and self.dim % (2 * self.heads):
            raise ConfigError(f"reader: dim = {self.dim} is not a multiple of twice heads = {self.heads}. Change one of them.")


class Spelling(Protocol):
    """Texts to ids and back. sos, bos, eos: ids for an item's begin, a text's begin and either's end."""

    size: int
    sos: int
    bos: int
    eos: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Without signs."""
        ...

    def decode(self, rows: list[list[int]]) -> list[str]:
        """Ids that stand for no text are left out."""
        ...


class Body(Protocol):
    """A module. there [B, T]: each row has one at least."""

    dim: int

    def __call__(self, ids: Tensor, there: Tensor) -> Tensor: ...


class Reader(nn.Module):
    """spelling, body: of one kind. definition: all that they are made of but numbers."""

    def __init__(self, config: ReaderConfig, spelling: Spelling, body: nn.Module, definition: bytes):
        super().__init__()
        self.config, self.spelling, self.body = config, spelling, body
        self.register_buffer(DEFINITION, torch.from_numpy(np.frombuffer(definition, np.uint8).copy()))
        self.dim: int = body.dim  # type: ignore[assignment]
        self.longest: int | None = getattr(body, "longest", None)
        """Tokens of a row at most; None: any number."""
        self.vocabulary, self.sos, self.bos, self.eos = spelling.size, spelling.sos, spelling.bos, spelling.eos
        if config.frozen:
            self.body.requires_grad_(False)

    @classmethod
    def fitted(cls, config: ReaderConfig, texts: Sequence[str], seed: int = 0) -> Self:
        """texts: those it will read, for what is learned of them; "" says nothing. MissingExtra, DataError by what kind needs."""
        with seeded(seed, "reader"):
            return cls(config, *_kind(config.kind).fitted(config, texts))

    def tokenise(self, texts: Sequence[str], tokens: int, *, framed: bool = True) -> Int64:
        """[n, tokens], 0 behind. framed: each text between sos and eos, which stay where it is cut; "" has none."""
        found, room = np.zeros((len(texts), tokens), np.int64), tokens - 2 if framed else tokens
        for row, ids in zip(found, self.spelling.encode(texts), strict=True):
            if ids:
                whole = [self.sos, *ids[:room], self.eos] if framed else ids[:room]
                row[: len(whole)] = whole
        return found

    def states(self, ids: Tensor, there: Tensor) -> Tensor:
        """[B, T], [B, T] -> [B, T, dim]; zeros where nothing is there."""
        if self.longest is not None and ids.shape[1] > self.longest:
            raise DataError(
                f"The reader was given rows of {ids.shape[1]:,} tokens and reads {self.longest:,} at most. Lower `tokens`, "
                "or what is read together."
            )
        # a row of nothing reads its first place, since attention over no key has no value in an exported file
        first = torch.arange(ids.shape[1], device=ids.device) == 0
        seen = there | (first & ~there.any(1, keepdim=True))
        found: Tensor = self.body(ids.long().masked_fill(~there, 0), seen) * there.unsqueeze(-1)
        return found

    def words(self, ids: Tensor) -> list[str]:
        """[n, T] -> the text of each row, without signs."""
        return self.spelling.decode([[one for one in row if one > 0] for row in ids.tolist()])

    def train(self, mode: bool = True) -> Self:
        """A frozen reader has no dropout either."""
        return super().train(mode and not self.config.frozen)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return arrays_of(self)

    @classmethod
    def from_arrays(cls, config: ReaderConfig, arrays: Mapping[str, NDArray[Any]]) -> Self:
        definition = arrays[DEFINITION].tobytes()
        shapes = {name.removeprefix("body."): values.shape for name, values in arrays.items() if name.startswith("body.")}
        made = cls(config, *_kind(config.kind).shaped(config, definition, shapes), definition)
        load_arrays_into(made, arrays)
        return made


class Kind(Protocol):
    """A module of this room."""

    def fitted(self, config: ReaderConfig, texts: Sequence[str]) -> tuple[Spelling, nn.Module, bytes]: ...
    def shaped(
        self, config: ReaderConfig, definition: bytes, shapes: Mapping[str, tuple[int, ...]]
    ) -> tuple[Spelling, nn.Module]:
        """As it was, its weights yet to be filled in. shapes: of the body's arrays."""
        ...


def _kind(name: str) -> Kind:
    kind: Any = import_module(f"headrace.encode.reading.{_KINDS[name]}")
    return kind  # type: ignore[no-any-return]


_KINDS = {"own": "own", "minilm": "published", "hf": "hf"}
