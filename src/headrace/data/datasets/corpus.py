"""What every corpus of texts keeps to: one table `documents.parquet`, and no text in two splits.

    document_id, split ("train", "valid", "test"), locale, text, then what else there is (label)

Translations of one line share its document_id. A split that the publisher did not make is drawn from the text itself, so two
copies of a text fall on one side: sha256(text) below 0.9 of its range is train, below 0.95 valid, else test.
"""

from hashlib import sha256
from pathlib import Path

import polars as pl

from headrace.contracts.errors import DataError, listed
from headrace.contracts.tables import Column, Table

SPLITS = ("train", "valid", "test")
DOCUMENTS = Table(
    "documents",
    ("document_id", "locale"),
    (
        Column("document_id", pl.String, required=True),
        Column("split", pl.String, required=True, choices=SPLITS),
        Column("locale", pl.String, required=True),
        Column("text", pl.String, required=True),
    ),
    open_ended=True,
)
_VALID, _TEST = 0.9, 0.95


def digests(texts: pl.Series) -> pl.Series:
    """64 hexadecimal digits a text."""
    return pl.Series(texts.name, [sha256(text.encode()).hexdigest() for text in texts], pl.String)


def drawn_splits(texts: pl.Series) -> pl.Series:
    """The split of each text, drawn from the text alone."""
    share = digests(texts).str.head(8).str.to_integer(base=16).cast(pl.Float64) / 16.0**8
    frame = pl.DataFrame({"share": share})
    split = pl.when(pl.col("share") < _VALID).then(pl.lit("train"))
    return frame.select(split=split.when(pl.col("share") < _TEST).then(pl.lit("valid")).otherwise(pl.lit("test")))["split"]


def apart(documents: pl.DataFrame) -> pl.DataFrame:
    """Without the documents that have a text, in any locale, which a later split of train, valid, test holds too."""
    later = documents.with_columns(rank=pl.col("split").replace_strict(SPLITS, range(3), return_dtype=pl.Int8))
    last = pl.col("rank").max().over("text", "locale")
    repeated = later.filter(pl.col("rank") < last).select("document_id").unique()
    return documents.join(repeated, on="document_id", how="anti", maintain_order="left")


def refuse_shared(documents: pl.LazyFrame, path: Path) -> None:
    """DataError where a split has another name, or one text stands in two."""
    wrong = documents.filter(~pl.col("split").is_in(SPLITS)).select("split").head(1).collect()
    if len(wrong):
        raise DataError(f'{path}: split "{wrong.item()}" is none of {listed(SPLITS)}.')
    shared = documents.group_by("text", "locale").agg(pl.col("split").n_unique(), pl.col("document_id").first())
    found = shared.filter(pl.col("split") > 1).head(1).collect()
    if len(found):
        raise DataError(f'{path}: the text of document "{found["document_id"].item()}" stands in two splits. Keep it in one.')
