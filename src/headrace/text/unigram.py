"""Unigram: each piece has a probability, and a text is cut so that the product of its pieces' is greatest.

    cut(x) = argmax over all cuts of  Σ log p(piece);    drawn:  P(cut) ∝ Π p(piece)^alpha

Ids: the 256 bytes, then pieces. A character that is no piece is read as its bytes, so any text is read without loss, with one
exception: U+2581 is read as a space, which it stands for inside pieces. A space is set before each text, and taken away again.
Learning and reading are the library's (sentencepiece). Paper: Kudo, ACL 2018.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import polars as pl

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import seed_of
from headrace.data.tokens import Tokens
from headrace.text.config import BYTES
from headrace.text.libraries import library
from headrace.text.pieces import Pieces
from headrace.text.unigram_model import serialized
from headrace.text.words import PATTERN, word_counts

SPACE = "\u2581"
_THREADS = 4  # sums are taken thread by thread, so another number would learn slightly other probabilities
_BEFORE = BYTES + 1  # the library's own unknown, and the bytes, stand before pieces


class Unigram:
    """pieces: (piece, log probability), in the order of their ids."""

    def __init__(self, learned: list[tuple[str, float]]):
        self.learned = learned
        spelt = [piece.replace(SPACE, " ").encode() for piece, _ in learned]
        self.pieces = Pieces([*(bytes([value]) for value in range(BYTES)), *spelt], lead=True)
        processor = library("sentencepiece", "A unigram tokenizer").SentencePieceProcessor
        self._processor = processor(model_proto=serialized(learned))

    def encode(self, texts: list[str]) -> Tokens:
        return self._tokens(texts)

    def sample(self, texts: list[str], alpha: float, seed: int) -> Tokens:
        """alpha: 0 draws each cut alike, 1 as probable as it is, a great one is encode."""
        if alpha < 0:
            raise ConfigError(f"encode: alpha is {alpha}; of unigram it is a power of probabilities, 0 or more.")
        library("sentencepiece", "A unigram tokenizer").set_random_generator_seed(seed_of(seed, "unigram") % 2**32)
        # one thread: with more, which of them draws for a text would be chance
        return self._tokens(texts, enable_sampling=True, nbest_size=-1, alpha=alpha, num_threads=1)

    def read_as(self, texts: list[str]) -> list[str]:
        return [text.replace(SPACE, " ") for text in texts]

    def model(self) -> dict[str, Any]:
        return {"pieces": [list(one) for one in self.learned]}

    def _tokens(self, texts: list[str], **more: Any) -> Tokens:
        led = [f" {text}" if text else "" for text in texts]
        found = Tokens.of(self._processor.encode(led, return_type="numpy", **more))
        return Tokens(found.ids - 1, found.offsets)  # the library's unknown, 0, stands for no text: bytes are always there


def train_unigram(texts: list[str], size: int, coverage: float) -> Unigram:
    """size: tokens, bytes among them; fewer where the texts have few different words."""
    sentencepiece = library("sentencepiece", "Training a unigram tokenizer")
    # no piece reaches over a word's end, so different words and their counts are all there is to learn from
    words = word_counts([f" {text.replace(SPACE, ' ')}" for text in texts], PATTERN)
    counts = words.filter(~pl.col("word").str.contains(r"[\t\r\n\x00]|\s$")).rows()
    if not counts:
        raise DataError("Training a unigram tokenizer: the texts have no words.")
    model = BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(counts), input_format="tsv",
            model_writer=model, model_type="unigram", vocab_size=size + 1, hard_vocab_limit=False, byte_fallback=True,
            character_coverage=coverage, normalization_rule_name="identity", remove_extra_whitespaces=False,
            add_dummy_prefix=False, max_sentence_length=1 << 30, num_threads=_THREADS, minloglevel=3,
            bos_id=-1, eos_id=-1, pad_id=-1,
        )  # fmt: skip
    except RuntimeError as error:
        raise ConfigError(
            f"Training a unigram tokenizer of {size} tokens: {error}. Each character within `coverage` takes one: set size "
            "to more."
        ) from None
    learned = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = list(range(_BEFORE, learned.get_piece_size()))
    return Unigram(list(zip(learned.id_to_piece(ids), learned.get_score(ids), strict=True)))


def _lines(counts: list[tuple[str, int]]) -> Iterator[str]:
    """Word and count, as the library reads them. It proposes as a piece only what it meets twice among different lines, so a word
    that is not rare and begins with a space stands in two more, before and behind its neighbour; both are taken off its count."""
    often = [word for word, count in counts if _often(word, count)]
    yield from (f"{word}{after}\t1" for word, after in zip(often, [*often[1:], *often[:1]], strict=True))
    yield from (f"{word}\t{count - 2 * _often(word, count)}" for word, count in counts)


def _often(word: str, count: int) -> bool:
    return count > 2 and word.startswith(" ")
