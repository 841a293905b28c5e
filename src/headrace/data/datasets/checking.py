"""Whether a folder's tables keep their contract."""

from pathlib import Path

import polars as pl

from headrace.contracts.errors import DataError, listed
from headrace.contracts.tables import TABLES, Table
from headrace.data.datasets import corpus
from headrace.data.datasets.about import DataSet
from headrace.data.event_parts import FOLDER, part_paths
from headrace.data.unreadable import explained


def check_folder(folder: Path, about: DataSet | None = None) -> dict[str, int]:
    """Rows by table. DataError for a file that can't be read, a column, type or key that breaks the contract, an event without
    its item or user, a text in two splits, or (with `about`) a number of rows other than published. Events may lie in parts."""
    files = {file.stem: [file] for file in sorted(folder.glob("*.parquet"))}
    if (folder / FOLDER).is_dir():
        files["events"] = part_paths(folder)
    if not files:
        raise DataError(f"{folder} holds no tables. It should have events.parquet, items.parquet, users.parquet.")
    frames, counts = {}, {}
    for name, parts in files.items():
        frames[name] = pl.scan_parquet(parts, glob=False)
        try:
            if name in TABLES:
                _check_table(frames[name], TABLES[name], folder / f"{name}.parquet")
            elif name == corpus.DOCUMENTS.name:
                _check_table(frames[name], corpus.DOCUMENTS, folder / f"{name}.parquet")
                corpus.refuse_shared(frames[name], folder / f"{name}.parquet")
            nulls = frames[name].select(pl.len().alias("__rows"), pl.all().null_count())  # reads every page
            counts[name] = int(nulls.collect(engine="streaming")["__rows"].item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(explained(error, str(parts[0]), parts, None)) from None
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
