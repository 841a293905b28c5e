"""Texts cut into words, each different word once: what is done a word is done for the text.

A word is a run of letters, up to three digits, or a run of other marks, each with the space before it; or a run of spaces. No
character is lost. Cost: one pass of a regular expression, one join.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from headrace.contracts.requests import Int64
from headrace.data.tokens import Tokens

PATTERN = r"'(?:s|t|re|ve|m|ll|d)| ?[\p{L}\p{M}]+| ?\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]+|\s+"
_AT_ONCE = 4_000_000  # characters: bounds the memory, some 100 bytes each
_FEW = 1_000  # so many words are not worth a join


@dataclass(frozen=True, eq=False)
class Words:
    """spelt: the bytes of each word, as numbers 0 to 255. used [N]: the word at each place. counts [D]: words a document."""

    spelt: Tokens
    used: Int64
    counts: Int64


def words_of(texts: list[str], pattern: str) -> Words:
    found = pl.Series("word", texts, pl.String).str.extract_all(pattern)
    counts = found.list.len().cast(pl.Int64).to_numpy()
    places = found.explode().drop_nulls().to_frame()
    if len(places) > _FEW:
        distinct = places.unique(maintain_order=True).with_row_index("number")
        used = places.join(distinct, on="word", how="left", maintain_order="left")["number"].cast(pl.Int64).to_numpy()
    else:
        distinct, used = places, np.arange(len(places))
    sizes = distinct["word"].str.len_bytes().cast(pl.Int64).to_numpy()
    flat = np.frombuffer("".join(distinct["word"].to_list()).encode(), np.uint8)
    return Words(Tokens(flat.astype(np.int32), np.concatenate([[0], np.cumsum(sizes)])), used, counts)


def documents_of(words: Tokens, used: Int64, counts: Int64) -> Tokens:
    """The tokens of each word put at the places where it is used."""
    placed = words.take(used)
    return Tokens(placed.ids, placed.offsets[np.concatenate([[0], np.cumsum(counts)])])


def word_counts(texts: list[str], pattern: str) -> pl.DataFrame:
    """word, count: the most frequent first, in an order that does not change with that of the texts."""
    parts = []
    for some in portions(texts):
        found = pl.Series("word", some, pl.String).str.extract_all(pattern)
        parts.append(found.explode().drop_nulls().value_counts())
    if not parts:
        return pl.DataFrame(schema={"word": pl.String, "count": pl.UInt32})
    counts = pl.concat(parts).group_by("word").agg(pl.col("count").sum())
    return counts.sort("count", "word", descending=[True, False])


def portions(texts: list[str]) -> Iterator[list[str]]:
    """The texts in order, some at a time."""
    some: list[str] = []
    characters = 0
    for text in texts:
        some.append(text)
        characters += len(text)
        if characters >= _AT_ONCE:
            yield some
            some, characters = [], 0
    if some:
        yield some
