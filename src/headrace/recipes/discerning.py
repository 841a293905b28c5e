"""One log made ready for the five questions of preference discerning: vectors, codes, preferences, and what is asked on its test.

Each user's last step is test, the one before validation (`holdouts.LeaveLast`). ψ is TF-IDF turned to its main directions, fitted
on what was known when the last event of training came; codes are by residual k-means on items of training alone; preferences are
templates. Items that nobody had in training can't be found by any arm and are no targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.cascade.item_vectors import texts_at
from headrace.contracts.requests import Bool, Float32, History, Requests
from headrace.data.holdouts import Held, LeaveLast
from headrace.data.log import Log
from headrace.data.preference_axes import (
    Pool,
    Samples,
    Targets,
    Wishes,
    consolidation,
    recommendation,
    sentiment,
    steering,
    with_inverses,
)  # fmt: skip
from headrace.data.preference_templates import Phrases, templates
from headrace.data.preferences import Opinions
from headrace.encode.preferences import instructions_of
from headrace.encode.semantic_ids.quantiser import coded
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from headrace.encode.tfidf import Tfidf, TfidfConfig

AXES = ("recommendation (oracle)", "fine steering", "coarse steering", "sentiment", "consolidation")


@dataclass(frozen=True, eq=False)
class Opened:
    """What is made of a log once. wishes: by whether they are signed."""

    held: Held
    vectors: Float32
    wishes: Mapping[bool, Wishes]
    asked: Mapping[str, tuple[Samples, ...]]
    artifacts: Mapping[str, Any]


def opened(tables: Path, *, codes: int, dim: int) -> Opened:
    log = Log.from_tables(tables)
    held = LeaveLast().of(log)
    interactions = held.train()
    texts, known_us = texts_at(log, interactions.cut_us)
    encoder = Tfidf(TfidfConfig(dim=dim))
    encoder.fit(texts[1:], known_us[1:], interactions.cut_us)
    vectors = np.concatenate([np.zeros((1, dim), np.float32), encoder.encode(texts[1:], "item")])
    quantiser = ResidualKMeans(ResidualKMeansConfig(codes=codes))
    quantiser.fit(interactions, {"item_vectors": vectors})
    opinions = Opinions.of_log(log)
    preferences = templates(opinions, Phrases.of(*_words(log), known_us < interactions.cut_us))
    pool_texts, polarity, inverse = with_inverses(preferences)
    wishes = {}
    for signed in (False, True):
        slots = instructions_of(pool_texts, polarity.tolist(), encoder, as_said=not signed)
        wishes[signed] = Wishes(opinions, preferences, Pool(pool_texts, polarity, slots[:, :-1], inverse))
    said = wishes[False]
    targets = _targets(held.test(), interactions.item_counts() > 0)
    asked: dict[str, tuple[Samples, ...]] = {
        AXES[0]: (recommendation(targets, preferences, said.pool, vectors),),
        AXES[1]: (steering(targets, said.pool, vectors, coarse=False, train=False, seed=0),),
        AXES[2]: (steering(targets, said.pool, vectors, coarse=True, train=False, seed=0),),
        AXES[3]: sentiment(targets, said, vectors),
        AXES[4]: (consolidation(targets, preferences),),
    }
    artifacts = {"semantic_ids": coded(quantiser, vectors), "item_vectors": vectors}
    return Opened(held, vectors, wishes, asked, artifacts)


def _targets(asked: tuple[Requests, History], known: Bool) -> Targets:
    """An answer a target."""
    requests, answers = asked
    kept = known[answers.items]
    rows, items = answers.rows()[kept], answers.items[kept]
    return Targets(requests.users[rows], requests.at_us[rows], items, requests.history.take(rows))


def _words(log: Log) -> tuple[list[str], list[Sequence[str]]]:
    """Title and text, and categories, by item number."""
    table = pl.read_parquet(log.tables / "items.parquet", columns=["item_id", "title", "text", "categories"])
    texts, categories = [""] * len(log.items), [()] * len(log.items)  # type: list[str], list[Sequence[str]]
    for number, (_, title, text, named) in zip(log.items.encode(table["item_id"]).tolist(), table.iter_rows(), strict=True):
        texts[number], categories[number] = f"{title or ''}\n{text or ''}", tuple(named or ())
    return texts, categories
