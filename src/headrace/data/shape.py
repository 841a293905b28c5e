"""Tables in the shape of their contract: its columns first, in its order, with its types and defaults."""

import polars as pl

from headrace.contracts.tables import NO_DEFAULT, TIME, Table


def in_shape(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """A missing column is null or its default; further columns are kept, behind, where the table is open-ended."""
    columns = []
    for column in table.columns:
        value = pl.col(column.name) if column.name in frame.columns else pl.lit(None)
        typed = value.cast(column.dtype)
        columns.append((typed if column.default is NO_DEFAULT else typed.fill_null(column.default)).alias(column.name))
    further = [name for name in frame.columns if name not in table.names] if table.open_ended else []
    return frame.select(*columns, *further)


def with_first_seen(frame: pl.DataFrame, table: Table, events: pl.DataFrame) -> pl.DataFrame:
    """A missing valid_from is the first time the item or user is seen.

    One that no event shows counts as there from the log's first moment, since nothing says that it came later.
    """
    key = table.key[0]
    seen = _first_seen(events, key)
    given = pl.col("valid_from") if "valid_from" in frame.columns else pl.lit(None, TIME)
    filled = frame.join(seen, on=key, how="left", maintain_order="left")
    return filled.with_columns(valid_from=pl.coalesce(given, "first_seen", pl.lit(events["at"].min(), TIME))).drop("first_seen")


def with_missing(frame: pl.DataFrame, table: Table, events: pl.DataFrame) -> pl.DataFrame:
    """And a row for each item or user that only events name."""
    key = table.key[0]
    missing = _first_seen(events, key).join(frame.select(key), on=key, how="anti", maintain_order="left")
    return pl.concat([frame, missing.rename({"first_seen": "valid_from"})], how="diagonal")


def _first_seen(events: pl.DataFrame, key: str) -> pl.DataFrame:
    """In the order in which they came, which does not hang on how the log is laid out; ids of one moment in theirs."""
    return events.group_by(key).agg(first_seen=pl.col("at").min()).sort("first_seen", key)
