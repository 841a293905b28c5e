"""Byte-pair encoding over bytes (GPT-2's kind): the pair of neighbours that is most frequent becomes a token, again and again.

Ids: the 256 bytes, then each new token in the order it was learned. Any text is read without loss. Learning is the library's
(Hugging Face tokenizers); reading and writing are ours and need none, so that drawing with BPE-dropout keeps to a seed.
Paper for drawing: Provilkov et al., ACL 2020.
"""

import json
from typing import Any

import numpy as np

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Int64
from headrace.contracts.rng import rng
from headrace.data.tokens import Tokens
from headrace.text.config import BYTES
from headrace.text.libraries import library
from headrace.text.merges import Merges
from headrace.text.pieces import Pieces
from headrace.text.words import PATTERN, documents_of, portions, words_of


class BPE:
    """pairs: of numbers of earlier tokens. pattern: what a word is."""

    def __init__(self, pairs: list[list[int]], pattern: str):
        self.pairs, self.pattern = pairs, pattern
        pieces = [bytes([value]) for value in range(BYTES)]
        number = {piece: place for place, piece in enumerate(pieces)}
        made = []
        for left, right in pairs:
            piece = pieces[left] + pieces[right]
            if piece not in number:  # two pairs may spell one token
                number[piece] = len(pieces)
                pieces.append(piece)
            made.append(number[piece])
        self.pieces = Pieces(pieces, lead=False)
        self._merges = Merges(np.array(pairs, np.int64).reshape(-1, 2), np.array(made, np.int64))

    def encode(self, texts: list[str]) -> Tokens:
        parts = []
        for some in portions(texts):
            words = words_of(some, self.pattern)
            parts.append(documents_of(self._merges.apply(words.spelt), words.used, words.counts))
        return joined(parts)

    def sample(self, texts: list[str], alpha: float, seed: int) -> Tokens:
        """alpha: the chance that a pair is passed over; 0 is encode, 1 leaves bytes."""
        if not 0 <= alpha <= 1:
            raise ConfigError(f"encode: alpha is {alpha}; of bpe it is a chance, 0 to 1.")
        parts = []
        for number, some in enumerate(portions(texts)):
            words = words_of(some, self.pattern)
            drawn = self._merges.apply(words.spelt.take(words.used), alpha, rng(seed, "bpe dropout", number))
            every: Int64 = np.arange(len(words.used))
            parts.append(documents_of(drawn, every, words.counts))
        return joined(parts)

    def read_as(self, texts: list[str]) -> list[str]:
        return texts

    def model(self) -> dict[str, Any]:
        return {"pairs": self.pairs, "pattern": self.pattern}


def train_bpe(texts: list[str], size: int) -> BPE:
    """size: tokens, bytes among them; fewer where no pair is left that stands twice."""
    library("tokenizers", "Training a bpe tokenizer")
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    letters = _letters()
    learner = Tokenizer(models.BPE())
    cut = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    learner.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, initial_alphabet=letters, special_tokens=[], show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    number = {letter: value for value, letter in enumerate(letters)}
    pairs = []
    for left, right in json.loads(learner.to_str())["model"]["merges"]:
        pairs.append([number[left], number[right]])
        number.setdefault(left + right, len(number))
    return BPE(pairs, PATTERN)


def _letters() -> list[str]:
    """The printable character that stands for each byte in the library: itself, or one from 256 on."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    other = iter(range(256, 512))
    return [chr(value if value in plain else next(other)) for value in range(BYTES)]


def joined(parts: list[Tokens]) -> Tokens:
    """One behind the other."""
    ids = np.concatenate([np.zeros(0, np.int32), *(part.ids for part in parts)]).astype(np.int32)
    lengths = np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in parts)])
    return Tokens(ids, np.concatenate([[0], np.cumsum(lengths)]))
