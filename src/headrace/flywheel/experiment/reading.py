"""The two tables of an analysis from files: CSV, JSONL or Parquet, a folder or a pattern, held to the contract as an import is.

A row that can't be read is refused and not set aside: an experiment that loses rows in one arm is no experiment.
"""

from pathlib import Path

import polars as pl

from headrace.contracts.errors import DataError
from headrace.contracts.tables import EXPOSURES, TIME, Column, Table
from headrace.data.clean import conform
from headrace.data.sources import ROW, read

OUTCOMES = Table(
    "outcomes", (), (Column("unit_id", pl.String, required=True), Column("at", TIME, required=True)), open_ended=True
)


def read_exposures(path: Path, zone: str | None = None) -> pl.DataFrame:
    """zone: of times without one; without it they are refused."""
    return _read(EXPOSURES, path, zone)


def read_outcomes(path: Path, zone: str | None = None) -> pl.DataFrame:
    """unit_id, at, and every further column."""
    return _read(OUTCOMES, path, zone)


def _read(table: Table, path: Path, zone: str | None) -> pl.DataFrame:
    raw = read(table, str(path), Path(), {})
    found = conform(raw, table, zone)
    for check in found.checks:
        bad = found.frame.filter(check.bad)
        if len(bad):
            raise DataError(f"{path}: {len(bad):,} rows have {check.reason}. The first: row {bad[ROW][0]:,}. Mend the file.")
    return found.frame.drop(ROW)
