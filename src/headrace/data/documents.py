"""Texts by the name of their corpus and split, with a digest that says which texts they were.

    texts = documents("imdb-reviews", "train")
    english, german = (documents("multi30k", "train", locale=locale) for locale in ("en", "de"))  # line by line translations

"film-overviews" are the texts of movielens-latest-small's items, there where your own copy holds them.
"""

from hashlib import sha256
from pathlib import Path

import polars as pl

from headrace.contracts.errors import ConfigError, DataError, listed, nearest
from headrace.data import datasets
from headrace.data.datasets import corpus

OVERVIEWS = "film-overviews"
CORPORA = ("imdb-reviews", "multi30k", "sst2", OVERVIEWS)
_NO_TEXT = "No overview found."


def documents(name: str, split: str, *, locale: str | None = None) -> list[str]:
    """In a fixed order, the same in all locales of one split. locale: None for all of them, one behind the other."""
    if split not in corpus.SPLITS:
        raise ConfigError(f'"{split}" is no split of {name}. Splits: {listed(corpus.SPLITS)}.')
    found = table(name).filter(pl.col("split") == split)
    there = found["locale"].unique().sort().to_list()
    if locale is not None and locale not in there:
        raise ConfigError(f'{name} has no texts in "{locale}".{nearest(locale, there)} Locales: {listed(there)}.')
    wanted = found.sort("locale", maintain_order=True) if locale is None else found.filter(pl.col("locale") == locale)
    texts: list[str] = wanted["text"].to_list()
    return texts


def corpus_digest(name: str) -> str:
    """sha256 over every document's id, split, locale, text and what else stands beside it: the data_hash of a run."""
    rows = table(name)
    # as JSON a row can't be read as another one whose columns are cut elsewhere
    lines = rows.select(pl.struct(pl.all()).struct.json_encode())[:, 0]
    state = sha256("\n".join(rows.columns).encode())
    for line in lines:
        state.update(b"\n" + line.encode())
    return state.hexdigest()


def table(name: str, home: Path | None = None) -> pl.DataFrame:
    """document_id, split, locale, text, and label where there is one. home: the cache of data sets."""
    if name not in CORPORA:
        raise ConfigError(f'"{name}" is not a corpus.{nearest(name, CORPORA)} Corpora: {listed(CORPORA)}.')
    if name == OVERVIEWS:
        return _overviews(datasets.get("movielens-latest-small", home))
    return pl.read_parquet(datasets.get(name, home) / "documents.parquet")


def _overviews(folder: Path) -> pl.DataFrame:
    items = pl.read_parquet(folder / "items.parquet", columns=["item_id", "text"])
    texts = items.with_columns(pl.col("text").str.strip_chars()).filter(~pl.col("text").is_in(["", _NO_TEXT]))
    if texts.is_empty():
        raise DataError(
            f"{folder} has no overviews: they come from your own ml-latest-small/movies_text.csv (movieId, overview, "
            "original_language). Set HEADRACE_DATA to the folder that holds ml-latest-small/, delete this one, and ask again."
        )
    kept = texts.unique("text", keep="first", maintain_order=True)
    # the items' locale is the language of the film; overviews are in English
    splits = corpus.drawn_splits(kept["text"])
    return kept.select(pl.col("item_id").alias("document_id"), splits.alias("split"), locale=pl.lit("en"), text="text")
