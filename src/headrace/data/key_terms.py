"""The words that tell a text of a catalogue from the others: in several of them, and in few.

    weight of a term in a text = count × (ln((1 + n) / (1 + n_with)) + 1)   where at least 5 texts have it, at most 1 in 20

so no term is one text's own. n texts are counted; those that may not be (they came later) have terms too, but no say in which are
rare. A word is three letters or more of any script. Cost O(words), in one pass of Polars.
"""

from collections.abc import Sequence

import polars as pl

from headrace.contracts.requests import Bool

_WORD = r"[^\W\d_]{3,}"
_LEAST, _MOST = 5, 0.05  # texts that have a term: at least so many, at most this share
_LONGEST = 24  # letters of a word that is one


def key_terms(texts: Sequence[str], counted: Bool, most: int) -> pl.DataFrame:
    """row, word, weight: at most so many of each text, the highest weight first; among equals by the alphabet."""
    words = (
        pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
        .select(row=pl.int_range(pl.len()), word=pl.col("text").str.to_lowercase().str.extract_all(_WORD))
        .explode("word")
        .drop_nulls("word")
        .filter(pl.col("word").str.len_chars() <= _LONGEST)
        .group_by("row", "word")
        .len("count")
    )
    n = int(counted.sum())
    held = words.filter(pl.Series(counted).gather(words["row"])).group_by("word").len("items")
    shared = held.filter((pl.col("items") >= _LEAST) & (pl.col("items") <= max(_MOST * n, _LEAST)))
    weight = pl.col("count") * (((1 + n) / (1 + pl.col("items"))).log() + 1)
    return (
        words.join(shared, on="word")
        .select("row", "word", weight=weight)
        .sort(["row", "weight", "word"], descending=[False, True, False])
        .group_by("row", maintain_order=True)
        .head(most)
    )
