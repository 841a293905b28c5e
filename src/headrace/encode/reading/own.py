"""A reader of one's own: pieces learned from the items' texts, read by a small Transformer encoder that starts from nothing.

    x = E[ids];   x = encoder(x)       `nn.body`: norms before, RoPE, GELU

With no layers, a token's vector is its embedding: what models before BERT read.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from headrace.contracts.errors import DataError
from headrace.data.tokens import Tokens
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.initialise import STD
from headrace.nn.body.transformer import Transformer
from headrace.text.tokenizer import Tokenizer, TokenizerConfig, train_tokenizer

if TYPE_CHECKING:
    from headrace.encode.reading.reader import ReaderConfig

SOS = "sos"


class Pieces:
    """A `Spelling`. Id 0 is the tokenizer's padding."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer, self.size = tokenizer, tokenizer.size
        self.sos, self.bos, self.eos = tokenizer.special(SOS), tokenizer.bos, tokenizer.eos

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        found = self.tokenizer.encode(texts, eos=False)
        return [found.ids[start:stop].tolist() for start, stop in zip(found.offsets[:-1], found.offsets[1:], strict=True)]

    def decode(self, rows: list[list[int]]) -> list[str]:
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return self.tokenizer.decode(Tokens(np.array([one for row in rows for one in row], np.int32), offsets))


class Encoder(nn.Module):
    """A `Body`."""

    def __init__(self, config: "ReaderConfig", vocabulary: int):
        super().__init__()
        self.dim = config.dim
        of = TransformerConfig(
            dim=config.dim, encoder_layers=config.layers, heads=config.heads, vocabulary=vocabulary, dropout=config.dropout
        )
        self.encoder = Transformer(of, "encoder")

    def forward(self, ids: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self.encoder(Inputs(ids=ids, there=there)).last
        return found


class Words(nn.Module):
    """A `Body` of no layers."""

    def __init__(self, config: "ReaderConfig", vocabulary: int):
        super().__init__()
        self.dim = config.dim
        self.words, self.drop = nn.Embedding(vocabulary, config.dim), nn.Dropout(config.dropout)
        nn.init.normal_(self.words.weight, std=STD)

    def forward(self, ids: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self.drop(self.words(ids))
        return found


def fitted(config: "ReaderConfig", texts: Sequence[str]) -> tuple[Pieces, nn.Module, bytes]:
    said = [text for text in texts if text]
    if not said:
        raise DataError(f"The reader was given {len(texts):,} texts, none of which says a word: give items a title or a text.")
    tokenizer = train_tokenizer(said, TokenizerConfig(kind="bpe", size=config.vocabulary, special=(SOS,)))
    definition = json.dumps(tokenizer.definition(), ensure_ascii=False).encode()
    return Pieces(tokenizer), _body(config, tokenizer.size), definition


def shaped(config: "ReaderConfig", definition: bytes, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Pieces, nn.Module]:
    spelling = Pieces(Tokenizer.of(json.loads(definition)))
    return spelling, _body(config, spelling.size)


def _body(config: "ReaderConfig", vocabulary: int) -> nn.Module:
    return Encoder(config, vocabulary) if config.layers else Words(config, vocabulary)
