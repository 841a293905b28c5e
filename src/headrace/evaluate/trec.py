"""A run made elsewhere: Parquet rows of (user_id or request_id, item_id, rank or score), one row a recommended item.

Scores that tie are ordered by a hash of the item's id: a file's own order may hold the answer (the held-out item written
first), and a constant score must not earn anything by it. Of ranks only the order counts, so they may begin at 0 or have gaps.
An item we have no number for keeps its place as a miss, and the log says how many there are.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError, listed, nearest
from headrace.contracts.requests import Int32, Int64
from headrace.contracts.rng import stable_hash
from headrace.evaluate.lists import RankedLists

log = logging.getLogger(__name__)

_KEYS, _ITEM, _ORDERS = ("request_id", "user_id"), ("item_id",), ("rank", "score")


def key_of(path: Path) -> str:
    """What a run's rows are keyed by: request_id, or user_id where there is no request_id."""
    return _one_of(path, pl.DataFrame(schema=_read_with(pl.read_parquet_schema, path)), _KEYS)


def read_run(
    path: Path,
    *,
    users: Int32 | Int64,
    keys: pl.Series | Sequence[str],
    encode: Callable[[pl.Series], Int32],
    depth: int = 100,
    sampler: str | None = None,
) -> RankedLists:
    """keys [R]: the user_id or request_id of each request, as strings, in our order; users [R]: its user's number.

    encode: item ids to numbers, 0 for unknown (`Vocabulary.encode`). A run by user serves each of the user's requests.
    Requests the run does not answer are an error; answers to other requests are not read.
    """
    table, key, by = _read(path)
    wanted = pl.DataFrame({"key": pl.Series(keys, dtype=pl.String)}).with_row_index("row")
    missing = wanted.join(table, on="key", how="anti").sort("row")
    if len(missing):
        raise DataError(
            f'{path}: {key}: {len(missing)} of {len(wanted)} requests have no row, the first is "{missing["key"][0]}". '
            "Answer all of them: leaving the hard ones out would flatter the run."
        )
    used = table.join(wanted, on="key", how="semi")
    ordered = used.sort("key", by, "tie", descending=[False, by == "score", False])
    ranked = ordered.with_columns(slot=pl.int_range(pl.len()).over("key")).filter(pl.col("slot") < depth)
    ranked = ranked.with_columns(item=encode(ranked["item_id"]))
    strange = ranked.filter(pl.col("item") == 0)["item_id"]
    if len(strange) == len(ranked):
        raise DataError(f'{path}: item_id: none of the items is in the catalogue, the first is "{strange[0]}".')
    if len(strange):
        log.warning(
            '%s: item_id: %s of %s rows name no item of the catalogue, the first is "%s"; each keeps its place as a miss.',
            path, f"{len(strange):,}", f"{len(ranked):,}", strange[0],
        )  # fmt: skip
    filled = wanted.join(ranked, on="key", how="inner")
    items = np.zeros((len(wanted), depth), np.int32)
    items[filled["row"].to_numpy(), filled["slot"].to_numpy()] = filled["item"].to_numpy()
    return RankedLists(users, items, sampler)


def _read_with(read: Callable[[Path], Any], path: Path) -> Any:
    try:
        return read(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: can't be read as Parquet ({str(error).splitlines()[0]}).") from None


def _read(path: Path) -> tuple[pl.DataFrame, str, str]:
    """Rows with "key" and "item_id" as strings, what puts a key's items in order, and "tie" for equals; the names of both."""
    table: pl.DataFrame = _read_with(pl.read_parquet, path)
    key, _, by = (_one_of(path, table, names) for names in (_KEYS, _ITEM, _ORDERS))
    for column in (key, "item_id", by):
        empty = table[column].is_null() | (table[column].is_nan() if table[column].dtype.is_float() else False)
        if empty.any():
            at = int(empty.to_numpy().argmax())
            raise DataError(f"{path}: {column}: {int(empty.sum())} rows have no value, the first is row {at}. Fill or drop them.")
    if not table[by].dtype.is_numeric():
        raise DataError(f"{path}: {by}: the type is {table[by].dtype}; expected a number.")
    if by == "rank" and (wrong := (table[by] < 0) | (table[by] != table[by].floor())).any():
        at = int(wrong.to_numpy().argmax())
        raise DataError(
            f"{path}: rank: {int(wrong.sum())} rows have none, the first is row {at} with {table[by][at]}. "
            "A rank is a whole number, the best has the least; where more is better, call the column score."
        )
    rows = table.select(pl.col(key).cast(pl.String).alias("key"), pl.col("item_id").cast(pl.String), by)
    for column, label in (("item_id", "item"), ("rank", "rank")):
        if column in rows.columns and (twice := rows.select("key", column).is_duplicated()).any():
            row = rows.filter(twice).row(0, named=True)
            raise DataError(f'{path}: {column}: "{row["key"]}" has {label} {row[column]!r} twice. Keep one row of each.')
    ids = rows["item_id"].unique()
    ties = pl.DataFrame({"item_id": ids, "tie": stable_hash(ids.to_list())})
    return rows.join(ties, on="item_id", how="left"), key, by


def _one_of(path: Path, table: pl.DataFrame, names: tuple[str, ...]) -> str:
    """The first of these columns that is there."""
    for name in names:
        if name in table.columns:
            return name
    close = nearest(names[0], table.columns)
    raise DataError(
        f"{path}: there is no column {' or '.join(names)}.{close} Columns: {listed(table.columns)}. "
        "Expected: request_id (or user_id), item_id, rank (or score)."
    )
