"""A file's columns read as the contract's types; what can't be read is null and has a check that says so.

Ids that a file holds as numbers become text without ".0". Categories are a list, or text split at "|". Booleans may be
true/false, yes/no, t/f, y/n, 1/0. An empty text is a null. Further columns of an open-ended table stay as features: in CSV a
column that is a number throughout (`traits`) becomes one; NaN there becomes null, the way a missing number is told.
"""

from dataclasses import dataclass

import polars as pl

from headrace.contracts.errors import DataError, listed
from headrace.contracts.tables import TIME, Column, Table
from headrace.data.quarantine import Check
from headrace.data.sources import ROW, Raw
from headrace.data.times import read_times
from headrace.data.traits import Traits, traits_of

_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
_IDS = ("user_id", "item_id", "event_id", "request_id")
_SPOKEN = {"at": "time", "event_id": "id"}


@dataclass(frozen=True)
class Read:
    """frame: ROW, then our columns, typed. checks: what reading found wrong. forms: how times were written, by column."""

    frame: pl.DataFrame
    checks: list[Check]
    forms: dict[str, str]


def conform(raw: Raw, table: Table, zone: str | None, traits: Traits | None = None) -> Read:
    """zone: of naive times. traits: of the whole file, where `raw` is a part of it. Required columns that are not there yet are
    left to the caller."""
    traits = traits or traits_of(raw.rows.lazy(), table, raw.typed)
    columns: list[pl.Series] = [raw.rows[ROW]]
    checks: list[Check] = []
    forms: dict[str, str] = {}
    for column in table.columns:
        if column.name not in raw.rows.columns:
            continue
        found = raw.rows[column.name]
        where = f'{raw.label}: column "{column.name}"'
        if column.dtype == TIME:
            times = read_times(found, zone, where, traits.units.get(column.name))
            if times.at.null_count() < len(times.at):
                forms[column.name] = times.form
            read = times.at
        else:
            read = _read(found, column, column.name in traits.suffixed, where)
        columns.append(read.alias(column.name))
        checks += _checks(column, found, read)
    if table.open_ended:
        further = [name for name in raw.rows.columns if name not in {ROW, *table.names}]
        columns += [_feature(raw.rows[name], traits.numbers.get(name)) for name in further]
    return Read(pl.DataFrame(columns), checks, forms)


def _checks(column: Column, found: pl.Series, read: pl.Series) -> list[Check]:
    name = _SPOKEN.get(column.name, column.name)
    empty = _blank(found)
    checks = []
    if column.required:
        checks.append(Check(column.name, f"no {name}", pl.lit(empty)))
    if read.null_count() > empty.sum():
        article = "an" if name[0] in "aeiou" else "a"
        checks.append(Check(column.name, f"{article} {name} that can't be read", pl.lit(read.is_null() & ~empty)))
    if read.dtype.is_float():
        strange = pl.lit(~read.is_finite().fill_null(True))
        checks.append(Check(column.name, f"a {name} that is NaN or infinite", strange))
    if column.choices:
        unknown = pl.lit(~read.is_in(list(column.choices)).fill_null(True))
        checks.append(Check(column.name, f"a {name} that is none of {listed(column.choices)}", unknown))
    return checks


def _blank(found: pl.Series) -> pl.Series:
    if found.dtype == pl.String:
        return (found.str.strip_chars() == "").fill_null(True)
    if found.dtype.is_float() and found.name in _IDS:
        return ~found.is_finite().fill_null(False)
    return found.is_null()


def _read(found: pl.Series, column: Column, suffixed: bool, where: str) -> pl.Series:
    if isinstance(column.dtype, pl.List) and isinstance(column.dtype.inner, pl.Struct):
        return _as_structs(found, column.dtype.inner, where)
    if found.dtype.is_nested() and column.dtype != pl.List(pl.String):
        raise DataError(f"{where} is {found.dtype}, expected {column.dtype}.")
    if column.dtype == pl.String:
        return _as_text(found, suffixed)
    if column.dtype == pl.List(pl.String):
        return _as_list(found, where)
    if column.dtype == pl.Boolean:
        return _as_boolean(found)
    if found.dtype == pl.String:
        found = found.str.strip_chars()
    if column.dtype.is_integer():  # a column of whole numbers with gaps often comes as 3.0
        number = found.cast(pl.Float64, strict=False)
        return number.set((number != number.round()).fill_null(False), None).cast(column.dtype, strict=False)
    return found.cast(column.dtype, strict=False)


def _as_text(found: pl.Series, suffixed: bool) -> pl.Series:
    if found.dtype.is_float():
        return _whole_if_whole(found)
    texts = found.cast(pl.String, strict=False)
    texts = texts.set((texts.str.strip_chars() == "").fill_null(False), None)
    return texts.str.strip_suffix(".0") if suffixed else texts


def _whole_if_whole(numbers: pl.Series) -> pl.Series:
    """Float ids: 12.0 is "12", 12.5 stays."""
    finite = numbers.set(~numbers.is_finite().fill_null(False), None)
    whole = finite.cast(pl.Int64, strict=False)
    return whole.cast(pl.String).zip_with((whole == finite).fill_null(True), finite.cast(pl.String))


def _as_list(found: pl.Series, where: str) -> pl.Series:
    if found.dtype == pl.String:
        parts = found.str.split("|").list.eval(pl.element().str.strip_chars())
        return parts.list.eval(pl.element().filter(pl.element() != ""))
    inner = found.dtype.inner if isinstance(found.dtype, pl.List) else found.dtype
    if (isinstance(found.dtype, pl.List) and not inner.is_nested()) or found.dtype == pl.Null:
        return found.cast(pl.List(pl.String))
    raise DataError(f'{where} is {found.dtype}, expected lists of text, or text such as "shoes|running".')


def _as_structs(found: pl.Series, wanted: pl.Struct, where: str) -> pl.Series:
    """Lists of named fields: what a CSV file can't hold."""
    names = [field.name for field in wanted.fields]
    inner = found.dtype.inner if isinstance(found.dtype, pl.List) else None
    if isinstance(inner, pl.Struct) and {field.name for field in inner.fields} == set(names):
        return found.list.eval(pl.struct(pl.element().struct.field(name) for name in names)).cast(pl.List(wanted))
    if found.null_count() == len(found):
        return pl.Series(found.name, [None] * len(found), pl.List(wanted))
    raise DataError(f"{where} is {found.dtype}, expected lists of {{{listed(names)}}}: Parquet or JSONL can hold them.")


def _as_boolean(found: pl.Series) -> pl.Series:
    if found.dtype == pl.Boolean:
        return found
    said = found.cast(pl.String).str.strip_chars().str.to_lowercase()
    known = said.is_in([*_TRUE, *_FALSE])
    return said.is_in(_TRUE).set(~known.fill_null(False), None)


def _feature(found: pl.Series, number: pl.DataType | None) -> pl.Series:
    if number is not None:
        found = found.str.strip_chars().cast(number, strict=False)
    if found.dtype.is_float():
        return found.fill_nan(None)
    return _as_text(found, suffixed=False) if found.dtype == pl.String else found
