"""What only a whole column tells about how its values are read: one pass over a file, so that each part of it is read alike.

A column of numbers in CSV may write all its ids as "12.0"; epoch numbers have one unit a file. A part of the file might see
neither. A feature of a CSV file is a number where it is one throughout, without leading zeros.
"""

from dataclasses import dataclass, field

import polars as pl

from headrace.contracts.tables import TIME, Table
from headrace.data.sources import ROW, Source
from headrace.data.times import epoch_unit, sizes_of_epochs

_NUMBERS = (pl.Int64(), pl.Float64())  # the first that reads them all


@dataclass(frozen=True)
class Traits:
    """suffixed: text columns whose every value ends in ".0". units: time column -> unit of its epoch numbers. numbers: features
    written as text that are numbers, and of which type."""

    suffixed: frozenset[str] = field(default_factory=frozenset)
    units: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, pl.DataType] = field(default_factory=dict)


def traits_of(rows: pl.LazyFrame, table: Table, typed: bool) -> Traits:
    """typed: the format has types, so no text is a number in disguise. Streams: memory does not grow with the rows."""
    schema = rows.collect_schema()
    there = [column for column in table.columns if column.name in schema]
    times = [column.name for column in there if column.dtype == TIME]
    texts = [] if typed else [column.name for column in there if column.dtype == pl.String and schema[column.name] == pl.String]
    asked = [sizes_of_epochs(name, schema[name]).alias(f"sizes {name}") for name in times]
    asked += [_all_suffixed(name).alias(f"suffixed {name}") for name in texts]
    further = [] if typed or not table.open_ended else [name for name in schema if name not in {ROW, *table.names}]
    asked += [_reads_as(name, dtype).alias(f"{dtype} {name}") for name in further for dtype in _NUMBERS]
    if not asked:
        return Traits()
    told = rows.select(asked).collect(engine="streaming").row(0, named=True)
    return Traits(
        frozenset(name for name in texts if told[f"suffixed {name}"]),
        {name: epoch_unit(list(told[f"sizes {name}"].values())) for name in times},
        {name: dtype for name in further for dtype in reversed(_NUMBERS) if told[f"{dtype} {name}"]},
    )


def traits_of_source(source: Source, table: Table) -> Traits:
    with source.reading():
        return traits_of(source.rows, table, source.typed)


def _all_suffixed(name: str) -> pl.Expr:
    column = pl.col(name)
    there = column.str.strip_chars() != ""
    return there.any() & (column.str.contains(r"^-?\d+\.0$") | ~there).all()


def _reads_as(name: str, dtype: pl.DataType) -> pl.Expr:
    """Whether all that is there is a number of this type, none of them written like the postcode 01234."""
    text = pl.col(name).str.strip_chars()
    there = (text != "").fill_null(False)
    padded = text.str.contains(r"^[+-]?0\d").fill_null(False).any()
    return there.any() & ~padded & (text.cast(dtype, strict=False).is_not_null() | ~there).all()
