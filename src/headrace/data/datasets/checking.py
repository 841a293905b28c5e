"""Whether a folder's tables keep their contract."""

from pathlib import Path

import polars as pl

from headrace.contracts.errors import DataError, listed
from headrace.contracts.tables import TABLES, Table
from headrace.data.datasets.about import DataSet


def check_folder(folder: Path, about: DataSet | None = None) -> dict[str, int]:
    """Rows by table. DataError for a column, type or key that breaks the contract, an event without its item or user, or
    (with `about`) a number of rows other than published."""
    frames = {file.stem: pl.scan_parquet(file) for file in sorted(folder.glob("*.parquet"))}
    if not frames:
        raise DataError(f"{folder} holds no tables. It should have events.parquet, items.parquet, users.parquet.")
    counts = {name: int(frame.select(pl.len()).collect().item()) for name, frame in frames.items()}
    for name, frame in frames.items():
        if name in TABLES:
            _check_table(frame, TABLES[name], folder / f"{name}.parquet")
    if "events" in frames:
        for name, key in (("items", "item_id"), ("users", "user_id")):
            if name not in frames:
                raise DataError(f"{folder} has events.parquet but no {name}.parquet.")
            lost = frames["events"].join(frames[name], on=key, how="anti").select(key).head(1).collect()
            if len(lost):
                raise DataError(f'{folder / "events.parquet"}: {key} "{lost.item()}" has no row in {name}.parquet.')
    for name, rows in about.rows.items() if about else ():
        if counts.get(name) != rows:
            raise DataError(
                f"{about.name if about else folder}: {name} has {counts.get(name, 0):,} rows, published are {rows:,}."
            )
    return counts


def _check_table(frame: pl.LazyFrame, table: Table, path: Path) -> None:
    schema = frame.collect_schema()
    expected = table.schema()
    if list(schema.names()[: len(expected)]) != table.names:
        raise DataError(f"{path} has columns {listed(schema.names(), 20)}; expected first: {listed(table.names, 20)}.")
    if not table.open_ended and len(schema) > len(expected):
        raise DataError(f"{path} has more columns than its contract: {listed(schema.names()[len(expected) :])}.")
    for name, dtype in expected.items():
        if schema[name] != dtype:
            raise DataError(f'{path}: "{name}" is {schema[name]}, expected {dtype}.')
    for column in table.columns:
        if column.required and frame.select(pl.col(column.name).is_null().any()).collect().item():
            raise DataError(f'{path}: "{column.name}" is null in some row.')
    if frame.select(pl.struct(table.key).is_duplicated().any()).collect().item():
        raise DataError(f"{path}: two rows have one key ({listed(table.key)}).")
