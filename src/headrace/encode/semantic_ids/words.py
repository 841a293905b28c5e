"""What a code says, in words: those that stand in the texts of its items and in others' rarely.

    lift(w, k) = logit (y_kw + a_w) / (n_k + a) - logit (y_w - y_kw + a_w) / (n - n_k + a),   a_w = share of w among all words · a
    words of k = the largest lift / sqrt(1 / (y_kw + a_w) + 1 / (y_w - y_kw + a_w))

y counts a word once a text, n sums them; the a words in front are the catalogue's own, so a word of one text stands out nowhere.
Cost O(words of all texts). Use it to read codes by eye: a code's items are alike by their vectors, the words say in what.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from headrace.contracts.requests import Float64
from headrace.encode.semantic_ids.ids import SemanticIds

_WORD = r"[\p{L}\p{N}]{2,}"
_BEFORE = 500.0  # words that every code is taken to have said, in the catalogue's shares


def words_of_codes(ids: SemanticIds, texts: Sequence[str], *, top: int = 6, least: int = 2) -> dict[int, list[str]]:
    """For each first code in use, its words, the most telling first. texts: by item number. least: texts of the code with it."""
    rows = np.flatnonzero(ids.there)
    said = pl.DataFrame({"code": ids.codes[rows, 0], "text": pl.Series([texts[row] for row in rows.tolist()], dtype=pl.String)})
    words = (
        said.with_row_index("item")
        .with_columns(word=pl.col("text").str.to_lowercase().str.extract_all(_WORD).list.unique())
        .explode("word")
        .drop_nulls("word")
    )
    pairs = words.group_by("code", "word").len("inside").with_columns(pl.col("inside").cast(pl.Float64))
    pairs = pairs.with_columns(
        everywhere=pl.col("inside").sum().over("word"), of_code=pl.col("inside").sum().over("code"), of_all=pl.col("inside").sum()
    )
    inside, everywhere, of_code, of_all = (pairs[name].to_numpy() for name in ("inside", "everywhere", "of_code", "of_all"))
    scores = _scores(inside, everywhere - inside, of_code, of_all - of_code, _BEFORE * everywhere / np.maximum(of_all, 1))
    kept = pairs.with_columns(score=scores).filter((pl.col("inside") >= least) & (pl.col("score") > 0))
    best = kept.sort(["code", "score", "word"], descending=[False, True, False]).group_by("code", maintain_order=True).head(top)
    found: dict[int, list[str]] = {int(code): [] for code in np.unique(ids.codes[rows, 0])}
    for code, word in best.select("code", "word").iter_rows():
        found[code].append(word)
    return found


def _scores(inside: Float64, outside: Float64, of_code: Float64, of_others: Float64, before: Float64) -> Float64:
    here, there = inside + before, outside + before
    lift = np.log(here / (of_code + _BEFORE - here)) - np.log(there / (of_others + _BEFORE - there))
    scores: Float64 = lift / np.sqrt(1 / here + 1 / there)
    return scores
