"""A run made elsewhere: Parquet rows of (user_id or request_id, item_id, rank or score), one row a recommended item.

Scores that tie are ordered by a hash of the item's id: a file's own order may hold the answer (the held-out item written
first), and a constant score must not earn anything by it. An item we have no number for keeps its rank as an empty slot.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError, listed, nearest
from headrace.contracts.requests import Int32, Int64
from headrace.contracts.rng import stable_hash
from headrace.evaluate.lists import RankedLists


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
    table, key, order = _read(path)
    wanted = pl.DataFrame({"key": pl.Series(keys, dtype=pl.String)}).with_row_index("row")
    missing = wanted.join(table, on="key", how="anti").sort("row")
    if len(missing):
        raise DataError(
            f'{path}: {key}: {len(missing)} of {len(wanted)} requests have no row, the first is "{missing["key"][0]}". '
            "Answer all of them: leaving the hard ones out would flatter the run."
        )
    used = table.join(wanted, on="key", how="semi")
    ranked = used.sort("key", *order).with_columns(slot=pl.int_range(pl.len()).over("key")).filter(pl.col("slot") < depth)
    ranked = ranked.with_columns(item=encode(ranked["item_id"]))
    if not (ranked["item"] > 0).any():
        raise DataError(f'{path}: item_id: none of the items is in the catalogue, the first is "{ranked["item_id"][0]}".')
    filled = wanted.join(ranked, on="key", how="inner")
    items = np.zeros((len(wanted), depth), np.int32)
    items[filled["row"].to_numpy(), filled["slot"].to_numpy()] = filled["item"].to_numpy()
    return RankedLists(users, items, sampler)


def _read(path: Path) -> tuple[pl.DataFrame, str, list[str]]:
    """Rows with "key" and "item_id" as strings and the columns that put a key's items in order, best first."""
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: can't be read as Parquet ({str(error).splitlines()[0]}).") from None
    key = _one_of(path, table, ("request_id", "user_id"))
    _one_of(path, table, ("item_id",))
    by = _one_of(path, table, ("rank", "score"))
    for column in (key, "item_id", by):
        empty = table[column].is_null() | (table[column].is_nan() if table[column].dtype.is_float() else False)
        if empty.any():
            at = int(empty.to_numpy().argmax())
            raise DataError(f"{path}: {column}: {int(empty.sum())} rows have no value, the first is row {at}. Fill or drop them.")
    if not table[by].dtype.is_numeric():
        raise DataError(f"{path}: {by}: the type is {table[by].dtype}; expected a number.")
    rows = table.select(pl.col(key).cast(pl.String).alias("key"), pl.col("item_id").cast(pl.String), by)
    for column, label in (("item_id", "item"), ("rank", "rank")):
        if column in rows.columns and (twice := rows.select("key", column).is_duplicated()).any():
            row = rows.filter(twice).row(0, named=True)
            raise DataError(f'{path}: {column}: "{row["key"]}" has {label} {row[column]!r} twice. Keep one row of each.')
    order = pl.col(by) if by == "rank" else -pl.col(by).cast(pl.Float64)
    ids = rows["item_id"].unique()
    ties = pl.DataFrame({"item_id": ids, "tie": stable_hash(ids.to_list())})
    return rows.with_columns(order.alias("order")).join(ties, on="item_id", how="left"), key, ["order", "tie"]


def _one_of(path: Path, table: pl.DataFrame, names: tuple[str, ...]) -> str:
    """The first of these columns that is there."""
    for name in names:
        if name in table.columns:
            return name
    close = nearest(names[0], table.columns)
    raise DataError(f"{path}: there is no column {' or '.join(names)}.{close} Columns: {listed(table.columns)}.")
