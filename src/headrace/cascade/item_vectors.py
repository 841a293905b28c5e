"""Every item's title, text and categories as a vector, so that an item nobody has chosen yet is more than a number.

An item is read as it stood at the cut: the last row before it, or the first row of an item that came later, which is known as
soon as the item is. So no later wording reaches a model; an item whose text changes keeps its vector until the next build.
tfidf is fitted on items known before the cut; minilm is frozen, and encodes a text once a store, whatever the cut. An item
without a word has a vector of zeros. The encoder stays with the vectors, for the words of those who ask (`load_text_encoder`).
"""

from pathlib import Path

import numpy as np
import polars as pl

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.contracts.config import as_dict
from headrace.contracts.requests import Float32, Int64
from headrace.contracts.seams import Encoder
from headrace.data.log import Log
from headrace.encode.cache import CachedEncoder
from headrace.encode.minilm import REVISION, minilm
from headrace.encode.sentences import SentencesConfig
from headrace.encode.tfidf import Tfidf, TfidfConfig

CACHE = ".encoded"
_FILE, _ENCODER = "vectors.safetensors", "encoder.safetensors"
_REVISION = 2
"""Of what is read of an item and kept beside the vectors, whatever the encoder."""


def item_vectors(graph: Graph, tables: Artifact, log: Log, cut_us: int, encoder: str) -> Artifact:
    """encoder: "minilm" or "tfidf". MissingExtra where minilm's libraries are not there."""

    def make(draft: Draft) -> None:
        graph.progress(f"item vectors {encoder}", 0, 1)
        texts, known_us = texts_at(log, cut_us)
        vectors, fitted = _encoded(encoder, texts, known_us, cut_us, log.seed, graph.store.root / CACHE)
        save_arrays(draft.path / _FILE, {"vectors": vectors})
        if fitted is not None:
            save_arrays(draft.path / _ENCODER, fitted.arrays())
        draft.metrics = {"items": len(texts) - 1, "with_text": sum(map(bool, texts)), "dim": vectors.shape[1]}
        graph.progress(f"item vectors {encoder}", 1, 1)

    settings, revision = (TfidfConfig(), Tfidf.revision) if encoder == "tfidf" else (SentencesConfig(), REVISION)
    config = {"encoder": encoder, "settings": as_dict(settings), "cut_us": cut_us, "clock": log.clock, "seed": log.seed,
              "read": _REVISION}  # fmt: skip
    inputs = {"tables": tables}
    return graph.stage("item vectors", make, config=config, inputs=inputs, revision=revision, name=encoder)


def load_item_vectors(artifact: Artifact) -> Float32:
    """[n_items, dim]."""
    vectors: Float32 = load_arrays(artifact.path / _FILE)["vectors"]
    return vectors


def load_text_encoder(artifact: Artifact) -> Encoder:
    """What made the vectors: a text of the same words gets the same one. MissingExtra as above."""
    if artifact.manifest.config["encoder"] == "tfidf":
        return Tfidf.from_arrays(TfidfConfig(), load_arrays(artifact.path / _ENCODER))
    return minilm(SentencesConfig())


def rows_at(log: Log, cut_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each item's row as of the cut, and its first one, with "since" when it holds. On an ordinal clock, where no row can be held
    against the cut, the first row both times."""
    columns = ["item_id", "title", "text", "categories", "valid_from"]
    table = pl.read_parquet(log.tables / "items.parquet", columns=columns)
    since = pl.col("valid_from").dt.timestamp("us").fill_null(0) if log.clock == "time" else pl.lit(0, pl.Int64)
    rows = table.with_columns(since=since).sort("since", maintain_order=True)
    first = rows.unique("item_id", keep="first", maintain_order=True)
    last = first if log.clock == "ordinal" else rows.filter(pl.col("since") < cut_us)
    last = last.unique("item_id", keep="last", maintain_order=True)
    return pl.concat([last, first.join(last, on="item_id", how="anti")]), first


def texts_at(log: Log, cut_us: int) -> tuple[list[str], Int64]:
    """By item number, "" for none: title, text and categories as of the cut, a line each, and since when the item is known."""
    held, first = rows_at(log, cut_us)
    categories = pl.col("categories").list.join(", ")
    words = held.select(
        pl.concat_str("title", "text", categories, separator="\n", ignore_nulls=True).str.strip_chars()
    ).to_series()
    texts = np.full(len(log.items), "", object)
    texts[log.items.encode(held["item_id"])] = words.fill_null("").to_list()
    known_us = np.zeros(len(log.items), np.int64)
    known_us[log.items.encode(first["item_id"])] = first["since"]
    return texts.tolist(), known_us


def _encoded(name: str, texts: list[str], known_us: Int64, cut_us: int, seed: int, cache: Path) -> tuple[Float32, Tfidf | None]:
    """The vectors, and the encoder where it was fitted for them."""
    spoken = np.array([bool(text) for text in texts])
    said = [text for text in texts if text]
    fitted = None
    if name == "tfidf":
        fitted = Tfidf(TfidfConfig(), seed=seed)
        fitted.fit(said, known_us[spoken], cut_us)
    encoder: Encoder = fitted or CachedEncoder(minilm(SentencesConfig()), cache)
    vectors = np.zeros((len(texts), encoder.dim), np.float32)
    vectors[spoken] = encoder.encode(said, "item")
    return vectors, fitted
