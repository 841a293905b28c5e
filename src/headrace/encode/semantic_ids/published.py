"""Semantic ids that somebody else made, read from a table.

    item_id  codes
    "0"      ["<a_183>", "<b_70>", "<c_232>", "<d_6>"]          or whole numbers: [183, 70, 232, 6]

The first `levels` of them are kept and one that tells items apart is added, so that the codes of any publisher, whose own last
level may or may not do so, become codes of ours. Cost O(items × levels).
"""

from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError, listed
from headrace.contracts.requests import Int32
from headrace.data.vocabulary import Vocabulary
from headrace.encode.semantic_ids.catalogue import fingerprint_of, marks_of
from headrace.encode.semantic_ids.ids import SemanticIds, told_apart

_NUMBER = r"^<?(?:[A-Za-z]+_)?(\d+)>?$"


def published(path: Path, items: Vocabulary, *, levels: int = 3, symbols: int = 256) -> SemanticIds:
    """path: Parquet. items: a log's; one that the table lacks has no codes, one that the log lacks is left out.

    symbols: of each level, at least; the added level has as many, and more where more items share their codes.
    """
    table = _read(path)
    twice = table.filter(table["item_id"].is_duplicated())["item_id"].unique(maintain_order=True)
    if len(twice):
        raise DataError(f"{path}: {len(twice)} items have two rows or more: {listed(twice, 5)}. Leave one of each.")
    short = table.filter(pl.col("codes").list.len() < levels)
    if len(short):
        raise DataError(
            f"{path}: {len(short)} items have fewer than {levels} codes, item {short['item_id'][0]} the first. "
            "Ask for fewer levels."
        )
    numbers = items.encode(table["item_id"])
    known = numbers > 0
    if not known.any():
        raise DataError(
            f"{path}: none of its {len(table)} items is in the log ({listed(table['item_id'], 3)} there, "
            f"{listed(items.ids, 3)} here). Is it of another catalogue?"
        )
    codes = np.full((len(items), levels), -1, np.int32)
    codes[numbers[known]] = _numbers(table, levels, path)[known]
    sizes = tuple(int(size) for size in np.maximum(codes.max(0) + 1, symbols))
    return told_apart(codes, sizes, at_least=symbols, items=fingerprint_of(marks_of(items)))


def _read(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_parquet(path, columns=["item_id", "codes"])
    except (pl.exceptions.ColumnNotFoundError, pl.exceptions.ComputeError, OSError) as error:
        raise DataError(f"{path}: can't be read as a table of item_id and codes ({str(error).splitlines()[0]}).") from None
    if not isinstance(table["codes"].dtype, pl.List):
        raise DataError(f"{path}: codes are {table['codes'].dtype}, expected a list a row, of numbers or of words like <a_183>.")
    return table.with_columns(pl.col("item_id").cast(pl.String))


def _numbers(table: pl.DataFrame, levels: int, path: Path) -> Int32:
    """[rows, levels]."""
    kept = table.select("item_id", code=pl.col("codes").list.head(levels).cast(pl.List(pl.String))).explode("code")
    found = kept.with_columns(number=pl.col("code").str.extract(_NUMBER).cast(pl.Int32, strict=False))
    wrong = found.filter(pl.col("number").is_null())
    if len(wrong):
        raise DataError(
            f"{path}: {len(wrong)} codes are no codes; the first, of item {wrong['item_id'][0]}, is {wrong['code'][0]!r}. "
            "Expected whole numbers from 0, or words like <a_183>."
        )
    numbers: Int32 = found["number"].to_numpy().reshape(-1, levels).astype(np.int32)
    return numbers
