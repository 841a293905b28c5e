"""A file's columns read as the contract's types; what can't be read is null and has a check that says so.

Ids that a file holds as numbers become text without ".0". Categories are a list, or text split at "|". Booleans may be
true/false, yes/no, t/f, y/n, 1/0. An empty text is a null. Further columns of items and users stay as features: in CSV a column
that is a number throughout, without leading zeros, becomes one; NaN there becomes null, the way a missing number is told.
"""

from dataclasses import dataclass

import polars as pl

from headrace.contracts.errors import DataError
from headrace.contracts.tables import TIME, Column, Table
from headrace.data.quarantine import Check
from headrace.data.sources import ROW, Raw
from headrace.data.times import read_times
from headrace.data.traits import Traits, traits_of

_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
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
        columns += [_feature(raw.rows[name], raw.typed) for name in raw.rows.columns if name not in {ROW, *table.names}]
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
    return checks


def _blank(found: pl.Series) -> pl.Series:
    if found.dtype == pl.String:
        return (found.str.strip_chars() == "").fill_null(True)
    if found.dtype.is_float() and found.name in ("user_id", "item_id", "event_id"):
        return ~found.is_finite().fill_null(False)
    return found.is_null()


def _read(found: pl.Series, column: Column, suffixed: bool, where: str) -> pl.Series:
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


def _as_boolean(found: pl.Series) -> pl.Series:
    if found.dtype == pl.Boolean:
        return found
    said = found.cast(pl.String).str.strip_chars().str.to_lowercase()
    known = said.is_in([*_TRUE, *_FALSE])
    return said.is_in(_TRUE).set(~known.fill_null(False), None)


def _feature(found: pl.Series, typed: bool) -> pl.Series:
    if found.dtype.is_float():
        return found.fill_nan(None)
    if found.dtype != pl.String:
        return found
    texts = _as_text(found, suffixed=False)
    if typed or texts.null_count() == len(texts) or texts.str.contains(r"^\s*[+-]?0\d").any():
        return texts
    for dtype in (pl.Int64(), pl.Float64()):
        numbers = texts.str.strip_chars().cast(dtype, strict=False)
        if numbers.null_count() == texts.null_count():
            return numbers.fill_nan(None) if dtype.is_float() else numbers
    return texts
