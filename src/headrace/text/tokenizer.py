"""A tokenizer: texts to ids and back, with ids of its own for what is no text, and a hash that names it.

    tokenizer = train_tokenizer(texts, TokenizerConfig(kind="bpe", size=4_000, sentinels=100, languages=("en", "de")))
    tokens = tokenizer.encode(texts, language="en")          Tokens: all ids, and where each text begins
    tokenizer.decode(tokens) == texts

Reserved ids come first (`reserved`), then the 256 bytes, then what was learned; text never becomes a reserved id. The hash is a
sha256 over settings and all that was learned, so equal definitions have equal hashes: keep it beside whatever was trained on
these ids (`Learned.made_of`).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headrace.contracts.config import as_dict, digest, parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Bool, Int32, Int64
from headrace.data.tokens import Tokens
from headrace.text import stored
from headrace.text.bpe import BPE, train_bpe
from headrace.text.config import BOS, EOS, MASK, PAD, UNKNOWN, TokenizerConfig
from headrace.text.framing import framed
from headrace.text.kind import Kind
from headrace.text.raw_bytes import RawBytes
from headrace.text.reserved import Reserved
from headrace.text.unigram import Unigram, train_unigram

__all__ = ["Tokenizer", "TokenizerConfig", "train_tokenizer"]


class Tokenizer:
    pad, bos, eos, mask, unknown = PAD, BOS, EOS, MASK, UNKNOWN

    def __init__(self, config: TokenizerConfig, kind: Kind):
        self.config, self._kind = config, kind
        self.ids = Reserved(config)
        self.reserved = config.reserved
        """Ids below are no text."""
        self.size = self.reserved + len(kind.pieces.all)
        """All ids: a body's `vocabulary`."""

    @cached_property
    def hash(self) -> str:
        return digest(self.definition())

    def definition(self) -> dict[str, Any]:
        return {"config": as_dict(self.config), "model": self._kind.model()}

    def special(self, name: str) -> int:
        return self.ids.one_of("special id", self.ids.special, name)

    def sentinel(self, number: int) -> int:
        return self.ids.sentinel(number)

    def language(self, tag: str) -> int:
        return self.ids.one_of("language", self.ids.languages, tag)

    def code(self, name: str, level: int, value: int) -> int:
        return int(self.ids.codes_at(name, np.array(level), np.array(value)))

    def codes(self, name: str, values: Int64) -> Int32:
        """[..., levels] values of semantic ids, as ids."""
        return self.ids.codes_at(name, np.broadcast_to(np.arange(values.shape[-1]), values.shape), values)

    def values(self, name: str, ids: Int32) -> tuple[Int64, Int64]:
        """Level and value of ids that are codes of this name: what `codes` was made from."""
        return self.ids.values_at(name, ids)

    def token(self, number: int) -> str:
        """An id as people read it: <mask>, <language:de>, or its text."""
        if not 0 <= number < self.size:
            raise ConfigError(f"Id {number} is not one of this tokenizer: it has 0 to {self.size - 1}.")
        if number < self.reserved:
            return self.ids.names[number]
        return self._kind.pieces.all[number - self.reserved].decode(errors="backslashreplace")

    @cached_property
    def token_bytes(self) -> Int64:
        """[size]: bytes of text that each id stands for, 0 for reserved ones."""
        return np.concatenate([np.zeros(self.reserved, np.int64), self._kind.pieces.lengths])

    def encode(
        self, texts: Sequence[str], *, language: str | Sequence[str] | None = None, bos: bool = False, eos: bool = True,
        alpha: float | None = None, seed: int | None = None,
    ) -> Tokens:  # fmt: skip
        """[bos] [language] text [eos]. language: a tag, or one a text. alpha, seed: draw the cut, as each kind says."""
        asked = _texts(texts)
        if alpha is None and seed is None:
            found = self._kind.encode(asked)
        elif alpha is None or seed is None:
            raise ConfigError(f"encode: alpha {alpha} with seed {seed}; to draw each text's cut give both, else neither.")
        else:
            found = self._kind.sample(asked, alpha, seed)
        return self._framed(found, language, bos=bos, eos=eos)[0]

    def encode_with_offsets(
        self, texts: Sequence[str], *, language: str | Sequence[str] | None = None, bos: bool = False, eos: bool = True
    ) -> tuple[Tokens, Int32]:
        """Tokens, and [n, 2]: the characters of its text that each has a part of, begin and end; none for reserved ids.

        Several tokens may stand for bytes of one character: each has the whole of it.
        """
        asked = _texts(texts)
        found = self._kind.encode(asked)
        tokens, text = self._framed(found, language, bos=bos, eos=eos)
        spans = np.zeros((len(tokens.ids), 2), np.int32)
        spans[text] = self._kind.pieces.spans(found, self._kind.read_as(asked))
        if eos:
            spans[tokens.offsets[1:] - 1] = np.array([len(one) for one in asked], np.int32)[:, None]
        return tokens, spans

    def decode(self, tokens: Tokens) -> list[str]:
        """The texts; reserved ids are left out. U+FFFD for bytes that are no UTF-8."""
        wrong = tokens.ids[(tokens.ids < 0) | (tokens.ids >= self.size)]
        if len(wrong):
            raise DataError(f"Id {wrong[0]} is not one of this tokenizer: it has 0 to {self.size - 1}.")
        text = tokens.ids >= self.reserved
        before = np.concatenate([[0], np.cumsum(text)])
        return self._kind.pieces.texts(Tokens(tokens.ids[text] - np.int32(self.reserved), before[tokens.offsets]))

    def save(self, path: Path) -> None:
        """One JSON file, replaced whole."""
        stored.save(path, self.definition())

    @classmethod
    def load(cls, path: Path, *, hash: str | None = None) -> "Tokenizer":
        """hash: of the tokenizer that is expected; another is refused."""
        config, model = stored.load(path, hash)
        return cls(config, _kind_of(config, model))

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> "Tokenizer":
        """What `definition` gave, from wherever it was kept."""
        config = parse(TokenizerConfig, definition["config"], where="a tokenizer's definition")
        return cls(config, _kind_of(config, definition["model"]))

    def _framed(self, found: Tokens, language: str | Sequence[str] | None, *, bos: bool, eos: bool) -> tuple[Tokens, Bool]:
        ids = Tokens(found.ids + np.int32(self.reserved), found.offsets)
        before: list[int | Int32] = [self.bos] if bos else []
        if isinstance(language, str):
            before.append(self.language(language))
        elif language is not None:
            if len(language) != len(found):
                raise DataError(f"encode: {len(language)} languages for {len(found)} texts, expected one for each.")
            before.append(np.array([self.language(tag) for tag in language], np.int32))
        return framed(ids, before, [self.eos] if eos else [])


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """The same texts, in any order, and the same settings give the same tokenizer."""
    if config.kind == "bytes":
        return Tokenizer(config, RawBytes())
    learned = config.size - config.reserved
    asked = _texts(list(texts))
    kind: Kind = train_bpe(asked, learned) if config.kind == "bpe" else train_unigram(asked, learned, config.coverage)
    return Tokenizer(config, kind)


def _kind_of(config: TokenizerConfig, model: dict[str, Any]) -> Kind:
    if config.kind == "bytes":
        return RawBytes()
    if config.kind == "bpe":
        return BPE(model["pairs"], model["pattern"])
    return Unigram([(piece, score) for piece, score in model["pieces"]])


def _texts(texts: Sequence[str]) -> list[str]:
    """As a list; DataError for what is no text, or can't be written as UTF-8."""
    if isinstance(texts, str):
        raise DataError("The tokenizer was given one string, expected a sequence of them. Wrap it: [text].")
    found = list(texts)
    for number, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(f'Text {number} of {len(found)} is a {type(text).__name__}; expected strings. A missing one is "".')
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"Text {number} of {len(found)} has half a character at place {error.start} (a lone surrogate). Mend the "
                'source, or write text.encode("utf-8", "replace").decode().'
            ) from None
    return found
