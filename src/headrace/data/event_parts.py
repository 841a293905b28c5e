"""Where a log's events lie: `events.parquet`, or `events/part-00000.parquet` and on where they do not fit in memory at once.

A user's events all stand in one part, sorted by user and time, ties in the order of the file, so whatever is done user by user is
done part by part.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from headrace.contracts.errors import DataError

FILE, FOLDER = "events.parquet", "events"


def part_paths(tables: Path) -> list[Path]:
    """The parts of a folder of tables, in order."""
    if (tables / FILE).is_file():
        return [tables / FILE]
    if parts := sorted((tables / FOLDER).glob("part-*.parquet")):
        return parts
    raise DataError(f"{tables} holds no events: expected {FILE}, or {FOLDER}/part-*.parquet. Import the log again.")


def scan_events(tables: Path, columns: Sequence[str] | None = None) -> pl.LazyFrame:
    """All events, unread. columns: those wanted."""
    rows = pl.scan_parquet(part_paths(tables), glob=False, hive_partitioning=False)
    return rows if columns is None else rows.select(columns)


def part_name(number: int) -> str:
    return f"part-{number:05d}.parquet"
