"""The rows of work: checked as a whole, copied once into the work folder, then read chunk by chunk.

The copy holds only the columns that are read, in row groups of one chunk, so a chunk is read without what stands before it and
a file that changes while a run is stopped changes nothing. Memory: one chunk, and a key a row while keys are compared.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from headrace.artifacts.atomic import replacing
from headrace.contracts.errors import DataError, listed, nearest
from headrace.data.sources import ROW, Source, open_table
from headrace.llm.annotation.plan import Plan

KEY = "__key"
_NAMED = 5  # row numbers in a message
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """keys: of its rows, in their order. texts: of each, the prompt's data fields."""

    number: int
    keys: pl.Series
    texts: Sequence[Mapping[str, str]]


class Rows:
    """rows: how many. chunks: how many parts they are asked in."""

    def __init__(self, plan: Plan, copy: Path):
        self._plan, self._copy = plan, pl.scan_parquet(copy)
        self.rows = int(self._copy.select(pl.len()).collect().item())
        self.chunks = -(-self.rows // plan.rows.chunk)

    def size(self, number: int) -> int:
        return min(self._plan.rows.chunk, self.rows - number * self._plan.rows.chunk)

    def chunk(self, number: int) -> Chunk:
        rows = self._copy.slice(number * self._plan.rows.chunk, self._plan.rows.chunk).collect()
        fields = self._plan.fields.items()
        texts = [{field: said(row[column]) for field, column in fields} for row in rows.iter_rows(named=True)]
        return Chunk(number, rows[KEY].rename(self._plan.rows.key), texts)


def opened(plan: Plan) -> Source:
    """The table's files, with all columns that the plan names; DataError says which is missing."""
    source = open_table(plan.rows.path, plan.folder, section=f"{plan.where} [rows]")
    there = source.columns
    for name, what in needed(plan).items():
        if name not in there:
            raise DataError(
                f'{plan.where}: {plan.rows.path} has no column "{name}", {what}.{nearest(name, there)} '
                f"It has: {listed(there, 30)}."
            )
    if plan.out.resolve() in {file.resolve() for file in source.files}:
        raise DataError(f"{plan.out} is one of the files that are read. Choose another name with out or --out.")
    return source


def needed(plan: Plan) -> dict[str, str]:
    """Column -> what it is for."""
    found = {plan.rows.key: "the key of a row ([rows] key)"}
    if plan.rows.kind == "conversations":
        return found | {getattr(plan.rows, name): f"a turn's {name} ([rows] {name})" for name in ("index", "role", "content")}
    for field, column in plan.fields.items():
        found.setdefault(column, f"which the prompt reads as {{{field}}} ([prompt.fields] {field} names another)")
    return found


def digest_of(files: Sequence[Path]) -> str:
    """sha256 of the files' bytes, one after another."""
    digest = sha256()
    for file in files:
        with file.open("rb") as stream:
            while piece := stream.read(_READ_BYTES):
                digest.update(piece)
    return digest.hexdigest()


def copied(plan: Plan, source: Source, path: Path) -> None:
    """Keys are checked here: none null, none twice."""
    columns = list(dict.fromkeys(plan.fields.values()))
    with replacing(path) as beside:
        with source.reading():
            source.rows.select(ROW, pl.col(plan.rows.key).alias(KEY), *columns).sink_parquet(
                beside, row_group_size=plan.rows.chunk
            )
        check_keys(plan, pl.scan_parquet(beside), [KEY])


def check_keys(plan: Plan, rows: pl.LazyFrame, key: Sequence[str]) -> None:
    """key: the columns that are unique together. Rows are named by their number in the file, from 1."""
    label, name = plan.rows.path, plan.rows.key
    dtype = rows.collect_schema()[KEY]
    if dtype.is_nested() or dtype.is_float():
        raise DataError(f'{label}: the key "{name}" is of type {dtype}, expected text, whole numbers or dates.')
    hashes = rows.select(pl.len(), null=pl.col(KEY).null_count(), keys=pl.struct(key).hash().n_unique())
    counts = hashes.collect(engine="streaming").row(0, named=True)
    if not counts["len"]:
        raise DataError(f"{label} has no rows: there is nothing to ask.")
    if counts["null"]:
        first = rows.filter(pl.col(KEY).is_null()).head(_NAMED)
        raise DataError(f'{label}: {counts["null"]:,} rows have no "{name}": {_numbers(first)}. Every row needs a key.')
    if counts["keys"] == counts["len"]:  # hashes alone: the keys of all rows need not be in memory
        return
    twice = rows.group_by(key).agg(pl.col(ROW).min(), pl.col(ROW).sort().head(_NAMED).alias("all"), count=pl.len())
    found = twice.filter(pl.col("count") > 1).sort(ROW).collect()
    if len(found):
        row = found.row(0, named=True)
        shown = ", ".join(f"{n:,}" for n in row["all"])
        which = " and ".join(f"{_theirs(plan, one)} {row[one]!r}" for one in key)
        raise DataError(f"{label}: {len(found):,} keys are not of one row alone: {which} stands in rows {shown}.")


def said(value: Any) -> str:
    """As the prompt reads it. A null is an empty text, a list its parts with commas, a record its JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return ", ".join(map(said, value))
        case dict():
            return json.dumps(value, ensure_ascii=False, default=str)
        case datetime() | date():
            return value.isoformat()
        case _:
            return str(value)


def _theirs(plan: Plan, column: str) -> str:
    return plan.rows.key if column == KEY else plan.rows.index


def _numbers(rows: pl.LazyFrame) -> str:
    numbers = rows.select(ROW).collect()[ROW].to_list()
    return "row" + ("s " if len(numbers) > 1 else " ") + ", ".join(f"{number:,}" for number in numbers)
