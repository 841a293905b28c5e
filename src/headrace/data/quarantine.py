"""Rows that break a contract: set aside with their row number, column and reason, counted, never dropped in silence."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from headrace.artifacts.atomic import writing
from headrace.contracts.errors import DataError
from headrace.data.sources import ROW

QUARANTINE = pl.Schema(
    {"table": pl.String, "row": pl.Int64, "column": pl.String, "reason": pl.String, "value": pl.String}
    | {"user_id": pl.String, "item_id": pl.String}
)
DUPLICATE_ROW = "duplicate of another row"
DUPLICATE_KEY = "a key that an earlier row has"


@dataclass(frozen=True)
class Check:
    """bad: true where a row breaks it, over the table's cleaned columns. The reason reads on from "have"."""

    column: str
    reason: str
    bad: pl.Expr


@dataclass(frozen=True)
class Sifted:
    """What came of one table: label is its file, read its number of rows. quarantined: in the shape of QUARANTINE, unread, since
    a large file may have more bad rows than fit in memory."""

    name: str
    label: str
    read: int
    quarantined: pl.LazyFrame

    @cached_property
    def reasons(self) -> dict[str, int]:
        """Rows by reason, the commonest first."""
        counts = self.quarantined.group_by("reason").len().collect(engine="streaming")
        return dict(counts.sort(["len", "reason"], descending=[True, False]).iter_rows())

    @property
    def lost(self) -> int:
        return sum(self.reasons.values())


def sift(name: str, frame: pl.DataFrame, checks: Sequence[Check], raw: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that meet every check, and the others in the shape of QUARANTINE, each under the first check it breaks.

    raw: the rows as they were read, same height, for the value that is reported.
    """
    if not checks:
        return frame, QUARANTINE.to_frame()
    broken = pl.coalesce(pl.when(check.bad).then(pl.lit(place)) for place, check in enumerate(checks))
    which = frame.select(broken.cast(pl.Int32).alias("check"))["check"]
    bad = which.is_not_null()
    if not bad.any():
        return frame, QUARANTINE.to_frame()
    rejected = frame.filter(bad).with_columns(which.drop_nulls())
    values = raw.filter(bad).with_columns(rejected["check"])
    shown = [
        pl.when(pl.col("check") == place).then(pl.col(check.column).cast(pl.String))
        for place, check in enumerate(checks)
        if check.column in raw.columns and not raw.schema[check.column].is_nested()
    ]
    known = pl.DataFrame(
        [(place, check.column, check.reason) for place, check in enumerate(checks)],
        schema={"check": pl.Int32, "column": pl.String, "reason": pl.String},
        orient="row",
    )
    report = pl.DataFrame({"row": rejected[ROW], "check": rejected["check"]}).with_columns(
        values.select(value=pl.coalesce(shown) if shown else pl.lit(None))["value"],
        *(rejected[key] if key in rejected.columns else pl.lit(None).alias(key) for key in ("user_id", "item_id")),
        table=pl.lit(name),
    )
    named = report.join(known, on="check", how="left", maintain_order="left")
    return frame.filter(~bad), named.select(pl.col(column).cast(dtype) for column, dtype in QUARANTINE.items())


def refuse(tables: Sequence[Sifted], limit: float, path: Path) -> None:
    """DataError, and the rows written to `path`, when a table has a larger share quarantined than the limit, or no row left."""
    over = [table for table in tables if table.read and (table.lost > limit * table.read or table.lost == table.read)]
    if over:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_quarantine(tables, path)
        raise DataError("\n".join(_message(table, limit, path) for table in over))


def write_quarantine(tables: Sequence[Sifted], path: Path) -> None:
    pl.concat([table.quarantined for table in tables]).sink_parquet(path)


def _message(table: Sifted, limit: float, path: Path) -> str:
    reasons = ", ".join(_phrase(count, reason) for reason, count in table.reasons.items())
    first = table.quarantined.bottom_k(1, by="row").collect().row(0, named=True)
    shown = {"user": first["user_id"], "item": first["item_id"], first["column"]: first["value"]}
    shown.pop({"items": "user", "users": "item", "requests": "item"}.get(table.name, ""), None)
    if first["column"] in ("user_id", "item_id"):
        shown.pop(first["column"])
    values = ", ".join(f"{name} {_quoted(value)}" for name, value in shown.items())
    return (
        f"{table.label}: {table.lost:,} of {table.read:,} rows quarantined ({percent(table.lost / table.read)}, limit "
        f"{percent(limit)}): {reasons}.\n  first: row {first['row']:,} ({values}). All of them: {path}. "
        "Raise data.max_quarantined or mend the file."
    )


def _phrase(count: int, reason: str) -> str:
    verb = ("is a" if count == 1 else "are a") if reason == DUPLICATE_ROW else "has" if count == 1 else "have"
    return f"{count:,} {verb} {reason}"


def _quoted(value: str | None) -> str:
    return "null" if value is None else f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'


def percent(share: float) -> str:
    """0.0123 -> 1.23%."""
    return f"{100 * share:.3g}%"
