"""Tables that `headrace annotate` wrote below the run's folder: what their columns say, and how far two of the same rows agree.

A table is one that has a work folder beside it and its summary. Columns of few different values are labels; agreement is Cohen's
kappa and accuracy over rows that both tables have parsed (`llm/agreement.py`). Cost: the label columns of every table, read once
a look, 200,000 rows of each at most.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from headrace.llm.agreement import agreed
from headrace.serve.console.charts import Spec

_STATUS, _REASON = "status", "reason"
_TABLES, _ROWS, _LABELS = 20, 200_000, 20


@dataclass(frozen=True)
class Labelled:
    """key: the column that names a row. columns: those of labels, with how often each stands, the commonest first. rows: of the
    key and these. summary: as it was written, empty while the table is not whole."""

    name: str
    key: str
    columns: dict[str, dict[str, int]]
    rows: pl.DataFrame
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Agreed:
    """rows: that both have parsed. kappa: NaN where both always said one and the same."""

    first: str
    second: str
    column: str
    rows: int
    kappa: float
    accuracy: float


def tables(run: Path) -> list[Labelled]:
    """Those that are whole and can be read, by name."""
    works = [path for path in sorted(run.rglob("*.parquet.work")) if path.is_dir()][:_TABLES]
    return [one for path in works if (one := _read(run, path.with_suffix(""))) is not None]


def agreements(known: Sequence[Labelled]) -> list[Agreed]:
    """Each two tables whose rows have names in common, by column of the same name."""
    found = []
    for one, other in combinations(known, 2):
        if one.key != other.key:
            continue
        both = one.rows.join(other.rows, on=one.key, suffix=" (other)")
        for column in one.columns.keys() & other.columns.keys():
            pairs = both.select(column, pl.col(f"{column} (other)").alias("other")).drop_nulls()
            if not len(pairs):
                continue
            said = sorted({*pairs[column].to_list(), *pairs["other"].to_list()})
            first, second = (pairs[name].replace_strict(said, range(len(said))).to_numpy() for name in (column, "other"))
            figures = agreed(first.astype("int64"), second.astype("int64"), max(len(said), 2))
            found.append(Agreed(one.name, other.name, column, len(pairs), figures["kappa"], figures["accuracy"]))
    return sorted(found, key=lambda one: (one.first, one.second, one.column))


def drawn(table: Labelled) -> Spec | None:
    """Every label's share of the rows that have one, a panel of bars a column."""
    rows = [
        {"column": column, "label": label, "rows": count, "share": round(count / sum(counts.values()), 4)}
        for column, counts in table.columns.items()
        for label, count in counts.items()
    ]
    if not rows:
        return None
    label = {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 180}}
    share = {"field": "share", "type": "quantitative", "title": "share of rows", "axis": {"format": "%"}}
    return {
        "data": {"values": rows}, "height": {"step": 20}, "mark": {"type": "bar", "tooltip": True},
        "encoding": {"y": label, "x": share, "color": {"field": "column", "type": "nominal", "sort": None}},
    }  # fmt: skip


def _read(run: Path, out: Path) -> Labelled | None:
    """None of a table that is not there yet, or is none of ours."""
    try:
        summary = json.loads(out.with_suffix(".json").read_text())
        schema = pl.read_parquet_schema(out)
        key = next(iter(schema))
        if not {_STATUS, _REASON} <= schema.keys() or not isinstance(summary, dict):
            return None
        simple = [name for name, kind in schema.items() if name not in (key, _STATUS, _REASON) and _few(kind)]
        rows = pl.read_parquet(out, columns=[key, *simple], n_rows=_ROWS).with_columns(pl.col(simple).cast(pl.String))
    except (OSError, ValueError, StopIteration, pl.exceptions.PolarsError):
        return None
    counted = {name: rows[name].drop_nulls().value_counts(sort=True) for name in simple}
    columns = {name: dict(counts.iter_rows()) for name, counts in counted.items() if 0 < len(counts) <= _LABELS}
    return Labelled(out.relative_to(run).as_posix(), key, columns, rows.select(key, *columns), summary)


def _few(kind: Any) -> bool:
    return isinstance(kind, (pl.String, pl.Boolean, pl.Enum, pl.Categorical)) or kind.is_integer()
