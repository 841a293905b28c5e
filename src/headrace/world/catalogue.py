"""Topics and items: vectors that tell the topic, a popularity that does not, texts, prices, and the day each item arrives.

    C ~ N(0, I / dim)     z_i ~ Zipf(1.1) over topics     e_i = normalise(C[z_i] + 0.3 N(0, I / dim))
    b_i = 0.7 (standardised -log rank_i),  rank a random order;  text = 12 words of the topic's 30 and 4 of 100 that all share

Items are numbered in the order they arrive, so those there on a day are the first so many. Row 0 of every array is no item.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.requests import Float64, Int32, Int64
from headrace.contracts.rng import rng
from headrace.world.settings import DAY_US, START_US, WorldConfig

ZIPF, NEAR_CENTRE, POPULARITY = 1.1, 0.3, 0.7
TOPIC_WORDS, GLOBAL_WORDS = 30, 100


@dataclass(frozen=True)
class Catalogue:
    """centres [topics, dim]; names [topics]; texts [items]; the rest [items + 1]. quality, price: of mean 0 and sd 1.

    arrival_day: -1 for what was there before day 0.
    """

    centres: Float64
    topic: Int32
    vectors: Float64
    popularity: Float64
    quality: Float64
    price: Float64
    arrival_day: Int64
    names: list[str]
    texts: pl.Series

    @classmethod
    def drawn(cls, config: WorldConfig, seed: int) -> "Catalogue":
        n, spread = config.items, 1 / np.sqrt(config.dim)
        centres = rng(seed, "topics").normal(size=(config.topics, config.dim)) * spread
        share = np.arange(1, config.topics + 1.0) ** -ZIPF
        topic = rng(seed, "item topics").choice(config.topics, n, p=share / share.sum())
        vectors = centres[topic] + NEAR_CENTRE * spread * rng(seed, "items").normal(size=(n, config.dim))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        logs = -np.log(rng(seed, "popularity").permutation(n) + 1.0)
        popularity = POPULARITY * (logs - logs.mean()) / max(logs.std(), 1e-12)
        traits = rng(seed, "quality and price").normal(size=(2, n))
        new = n - config.old_items
        arrival = np.concatenate([np.full(n - new, -1), np.sort(rng(seed, "arrivals").integers(1, max(config.days, 2), new))])
        words = _words(seed, config.topics * TOPIC_WORDS + GLOBAL_WORDS + config.topics)
        names = words[-config.topics :]
        return cls(
            centres=centres,
            topic=np.concatenate([[-1], topic]).astype(np.int32),
            vectors=_with_none(vectors),
            popularity=_with_none(popularity),
            quality=_with_none(traits[0]),
            price=_with_none(traits[1]),
            arrival_day=np.concatenate([[np.iinfo(np.int64).max], arrival]),
            names=names.tolist(),
            texts=_texts(seed, topic, words),
        )

    def __len__(self) -> int:
        """Items, no item counted."""
        return len(self.topic) - 1

    def known(self, day: int) -> int:
        """Items 1 to this number are there on a day."""
        return int(np.searchsorted(self.arrival_day[1:], day, side="right"))

    @property
    def ids(self) -> pl.Series:
        return pl.select(pl.format("i{}", pl.int_range(1, len(self) + 1).cast(pl.String).str.zfill(6))).to_series()

    def frame(self, config: WorldConfig, day: int) -> pl.DataFrame:
        """The contract's items table as known on a day. Popularity and quality are truth and not in it."""
        n = self.known(day)
        before_us = START_US - (config.history_days + 1) * DAY_US
        arrival = self.arrival_day[1 : n + 1]
        words = self.texts[:n].str.split(" ")
        topic = pl.Series(self.names).gather(self.topic[1 : n + 1])
        return pl.DataFrame({
            "item_id": self.ids[:n],
            "valid_from": pl.Series(np.where(arrival < 0, before_us, START_US + arrival * DAY_US)).cast(pl.Datetime("us", "UTC")),
            "title": pl.select(pl.format("{} {} {}", topic, words.list.get(0), words.list.get(1))).to_series(),
            "text": self.texts[:n],
            "categories": pl.select(pl.concat_list(topic)).to_series(),
            "price": np.round(np.exp(3 + 0.6 * self.price[1 : n + 1]), 2),
        })  # fmt: skip


class Shelves:
    """What one comes upon in a topic on a day: softmax(b) over its items there. An empty topic is the whole catalogue."""

    def __init__(self, catalogue: Catalogue, day: int):
        n, topics = catalogue.known(day), len(catalogue.centres)
        topic = catalogue.topic[1 : n + 1]
        self.order = np.argsort(topic, kind="stable")
        weight = np.exp(catalogue.popularity[1 : n + 1])[self.order]
        self.total = np.concatenate([[0.0], np.cumsum(weight)])
        ends = np.concatenate([[0], np.cumsum(np.bincount(topic, minlength=topics))])
        empty = ends[1:] == ends[:-1]
        self.low = np.where(empty, 0.0, self.total[ends[:-1]])
        self.high = np.where(empty, self.total[-1], self.total[ends[1:]])

    def draw(self, topics: Int64, draws: Float64) -> Int32:
        """topics [n], draws [n] in [0, 1) -> items [n]."""
        at = self.low[topics] + draws * (self.high[topics] - self.low[topics])
        place = np.clip(np.searchsorted(self.total, at, side="right") - 1, 0, len(self.order) - 1)
        return np.asarray(self.order[place] + 1, np.int32)


def _with_none(values: Float64) -> Float64:
    return np.concatenate([np.zeros((1, *values.shape[1:])), values])


def _words(seed: int, n: int) -> NDArray[np.str_]:
    """n different words of three syllables."""
    syllables = np.array([a + b for a in "bdfgklmnprstvz" for b in "aeiou"])
    size = len(syllables)
    numbers = rng(seed, "words").choice(size**3, n, replace=False)
    parts = (syllables[numbers // size**power % size] for power in range(3))
    first, second, third = parts
    return np.char.add(np.char.add(first, second), third)


def _texts(seed: int, topic: Int64, words: NDArray[np.str_]) -> pl.Series:
    """12 words of the item's topic and 4 of all."""
    draw = rng(seed, "texts")
    topics = (len(words) - GLOBAL_WORDS) // (TOPIC_WORDS + 1)
    own = topic[:, None] * TOPIC_WORDS + draw.integers(0, TOPIC_WORDS, (len(topic), 12))
    shared = topics * TOPIC_WORDS + draw.integers(0, GLOBAL_WORDS, (len(topic), 4))
    index = np.concatenate([own, shared], 1)
    return pl.Series(words[index.ravel()].tolist(), dtype=pl.String).reshape(index.shape).arr.join(" ")
