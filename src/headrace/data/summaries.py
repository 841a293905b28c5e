"""Users' interests in a sentence each, for rankers that read words, without a model: "likes crime, drama; recently western".

    words = words_of(titles_and_texts, categories, known)            which words each item speaks with, and how loudly
    summaries = extracted(log.interactions(cut_us).history, words)   `.texts[user]`, "" for who has nothing to be told of

    weight of a word to a user = sum over their events of    ln((1 + n) / (1 + n_with)) + 1           of a category of the item
                                                             count × that                             of a key term (`key_terms`)

The words of greatest weight are liked, categories before terms; recently is the first of the newest events that is not among
them. Among equals the alphabet decides, and weights are whole millionths, so that their sums are the same in any order.
What is summarised is what the history holds: give one of events before a cut, and nothing later is in a sentence. Cost: one
sparse product [users, items] · [items, words], a block of users at a time; memory O(users of a block × words they met).
Use it as it is, and as the control of a model's profiles (`llm.profiles`), which name what is in no single word.
Source: the template of our small reproduction of EmbSum (arXiv 2405.11441), which has a language model write summaries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy import sparse

from headrace.contracts.config import config
from headrace.contracts.requests import Bool, History, Int64
from headrace.data.key_terms import key_terms

EXTRACTIVE, NONE = "extractive", "none"
_BLOCK = 8192
_WHOLE = 1e6


@config
class ExtractiveConfig:
    """of: which words a sentence is made of; both: key terms stand behind categories. liked: words, at most. newest: events that
    are recent. terms: of an item."""

    of: Literal["both", "categories", "terms"] = "both"
    liked: Annotated[int, Gt(0)] = 3
    newest: Annotated[int, Ge(0)] = 5
    terms: Annotated[int, Gt(0)] = 8


@dataclass(frozen=True, eq=False)
class Summaries:
    """texts: by user number, "" for none. source: who wrote them."""

    texts: tuple[str, ...]
    source: str

    @classmethod
    def none(cls, users: int) -> "Summaries":
        """The control that knows nothing."""
        return cls(("",) * users, NONE)

    @property
    def told(self) -> int:
        """Users with one."""
        return sum(map(bool, self.texts))

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        texts = [text.encode() for text in self.texts]
        return {
            "texts": np.frombuffer(b"".join(texts), np.uint8),
            "text_lengths": np.array([len(text) for text in texts], np.int64),
            "source": np.frombuffer(self.source.encode(), np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Summaries":
        ends = np.cumsum(arrays["text_lengths"]).tolist()
        joined = arrays["texts"].tobytes()
        texts = tuple(joined[start:end].decode() for start, end in zip([0, *ends], ends, strict=False))
        return cls(texts, arrays["source"].tobytes().decode())


@dataclass(frozen=True, eq=False)
class ItemWords:
    """weight [items, words], sparse, in whole millionths. words: in the alphabet's order. behind [words]: 1 for a key term."""

    weight: sparse.csr_array
    words: tuple[str, ...]
    behind: Int64


def words_of(
    texts: Sequence[str], categories: Sequence[Sequence[str]], known: Bool | None = None,
    settings: ExtractiveConfig | None = None,
) -> ItemWords:  # fmt: skip
    """By item number, "" and () for none. known [n_items]: items that count where words are weighed, all if None."""
    settings, counted = settings or ExtractiveConfig(), np.ones(len(texts), np.bool_) if known is None else known
    parts = []
    if settings.of != "terms":
        parts.append(_categories(categories, counted).with_columns(behind=pl.lit(0, pl.Int64)))
    if settings.of != "categories":
        parts.append(key_terms(texts, counted, settings.terms).with_columns(behind=pl.lit(1, pl.Int64)))
    found = pl.concat(parts).with_columns(weight=(pl.col("weight") * _WHOLE).round().cast(pl.Int64))
    # a term that is a category somewhere is that category everywhere
    named = found.group_by("word").agg(pl.col("behind").min()).sort("word").with_row_index("number")
    found = found.select("row", "word", "weight").join(named, on="word")
    places = (found["row"].to_numpy(), found["number"].to_numpy())
    weight = sparse.csr_array((found["weight"].to_numpy(), places), shape=(len(texts), len(named)), dtype=np.int64)
    return ItemWords(weight, tuple(named["word"]), named["behind"].to_numpy())


def extracted(history: History, words: ItemWords, settings: ExtractiveConfig | None = None) -> Summaries:
    """history: a row a user."""
    settings = settings or ExtractiveConfig()
    texts = [""] * len(history)
    for start in range(0, len(history), _BLOCK):
        past = history.take(np.arange(start, min(start + _BLOCK, len(history))))
        liked = _loudest(past, words)
        liked = liked[_place(liked[:, 0]) < settings.liked]
        recent = _loudest(past.newest(settings.newest), words)
        n = len(words.words)
        recent = recent[~np.isin(recent[:, 0] * n + recent[:, 1], liked[:, 0] * n + liked[:, 1])]
        recent = recent[_place(recent[:, 0]) < 1]
        lately = {user: words.words[word] for user, word in recent.tolist()}
        said: dict[int, list[str]] = {}
        for user, word in liked.tolist():
            said.setdefault(user, []).append(words.words[word])
        for user, mine in said.items():
            then = f"; recently {lately[user]}" if user in lately else ""
            texts[start + user] = f"likes {', '.join(mine)}{then}"
    return Summaries(tuple(texts), EXTRACTIVE)


def _loudest(past: History, words: ItemWords) -> Int64:
    """[n, 2]: row and word, each row's words the one of greatest weight first, categories before terms."""
    shape = (len(past), words.weight.shape[0])
    had = sparse.csr_array((np.ones(len(past.items), np.int64), (past.rows(), past.items)), shape=shape)
    found = (had @ words.weight).tocoo()
    row, word = (np.asarray(part, np.int64) for part in found.coords)
    order = np.lexsort((word, -found.data, words.behind[word], row))
    return np.stack([row[order], word[order]], 1)


def _place(rows: Int64) -> Int64:
    """Of each entry among those of its row; rows in order."""
    return np.arange(len(rows)) - np.searchsorted(rows, rows)


def _categories(categories: Sequence[Sequence[str]], counted: Bool) -> pl.DataFrame:
    """row, word, weight: each item's, in lower case."""
    column = pl.Series([list(mine) for mine in categories], dtype=pl.List(pl.String))
    had = (
        pl.DataFrame({"word": column})
        .with_columns(row=pl.int_range(pl.len()))
        .explode("word")
        .with_columns(pl.col("word").str.replace_all(r"\s+", " ").str.strip_chars().str.to_lowercase())
        .filter(pl.col("word").str.len_chars() > 0)
        .unique(["row", "word"])
    )
    n = int(counted.sum())
    held = had.filter(pl.Series(counted).gather(had["row"])).group_by("word").len("items")
    weight = ((1 + n) / (1 + pl.col("items").fill_null(0))).log() + 1
    return had.join(held, on="word", how="left").select("row", "word", weight=weight)
