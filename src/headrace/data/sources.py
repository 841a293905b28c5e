"""A user's files: found, opened lazily, their columns named as ours. What is wrong with them is said here.

CSV, TSV and JSONL (each also .gz) and Parquet; a folder is all the Parquet files under it, a pattern ("day-*.csv") all it finds,
in name order. Rows are numbered from 1, the header not counted, on through the files of a folder or pattern. A line of a CSV
file with nothing in it is no row.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from headrace.contracts.errors import ConfigError, DataError, listed, nearest
from headrace.contracts.tables import Table
from headrace.data.unreadable import explained, is_utf16, uneven_row

ROW = "__row"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_ALSO_CALLED = {
    "user_id": ("customer", "visitor", "account", "member", "user", "uid"),
    "item_id": ("product", "sku", "article", "movie", "asin", "item", "iid"),
    "at": ("timestamp", "time", "date", "created", "ts"),
}


@dataclass(frozen=True)
class Raw:
    """A file's rows under our names, their number in ROW. ignored: the file's columns that no contract column takes.

    typed: whether the format has types; in CSV all is text and numbers have to be recognised.
    """

    label: str
    rows: pl.DataFrame
    typed: bool
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A table's files, opened and not yet read. rows: ROW, then the file's columns under our names; Raw says the rest."""

    label: str
    rows: pl.LazyFrame
    typed: bool
    ignored: tuple[str, ...]
    files: tuple[Path, ...]
    separator: str | None

    @property
    def columns(self) -> list[str]:
        with self.reading():
            return [name for name in self.rows.collect_schema().names() if name != ROW]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around all that collects `rows`: what the reader says becomes a DataError."""
        try:
            yield
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            raise DataError(explained(error, self.label, list(self.files), self.separator)) from None

    def count(self) -> int:
        """Rows, blank lines of a CSV file not counted. DataError where there are none."""
        with self.reading():
            rows = int(self.rows.select(pl.len()).collect(engine="streaming").item())
        if not rows:
            raise DataError(f"{self.label} has no rows: the table must be a file with at least one.")
        return rows

    def collect(self) -> Raw:
        with self.reading():
            rows = self.rows.collect(engine="streaming")
        return Raw(self.label, rows, self.typed, self.ignored)


def open_source(table: Table, path: str, base: Path, columns: Mapping[str, str], *, optional: Iterable[str] = ()) -> Source:
    """columns: ours = theirs. optional: required columns that something else supplies."""
    whole = _opened(table.name, path, base)
    theirs = whole.columns
    names = _ours(table, path, theirs, columns, set(optional))
    rows = _whole_rows(whole).rows.select(ROW, **{our: pl.col(their) for our, their in names.items()})
    return replace(whole, rows=rows, ignored=tuple(name for name in theirs if name not in names.values()))


def open_table(path: str, base: Path, *, section: str) -> Source:
    """Rows that no contract describes, all columns under their own names. section: of the TOML that named the path."""
    return _whole_rows(_opened("path", path, base, section))


def read(table: Table, path: str, base: Path, columns: Mapping[str, str], *, optional: Iterable[str] = ()) -> Raw:
    """A whole table at once."""
    source = open_source(table, path, base, columns, optional=optional)
    source.count()
    return source.collect()


def found_files(name: str, path: str, base: Path, section: str = "[data]") -> list[Path]:
    """What a path in a TOML means: one file, a folder's Parquet files, or all that fits a pattern."""
    whole = base / path
    if whole.is_file():
        return [whole]
    if whole.is_dir():
        if files := sorted(whole.rglob("*.parquet")):
            return files
        raise ConfigError(f"{section} {name}: {whole} is a folder without Parquet files. It has: {_entries(whole)}.")
    if any(sign in path for sign in "*?["):
        start = Path(whole.anchor) if whole.is_absolute() else Path()
        if files := sorted(file for file in start.glob(str(whole.relative_to(whole.anchor))) if file.is_file()):
            return files
        raise ConfigError(f'{section} {name}: nothing fits the pattern "{path}" in {base}.')
    there = whole.parent
    lost = whole.name
    while not there.is_dir():
        there, lost = there.parent, there.name
    hint = nearest(lost, (entry.name for entry in there.iterdir()))
    raise ConfigError(f"{section} {name}: there is no file {whole}.{hint} The folder {there} has: {_entries(there)}.")


def _entries(folder: Path) -> str:
    return listed(sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))) or "nothing"


def _opened(name: str, path: str, base: Path, section: str = "[data]") -> Source:
    files = found_files(name, path, base, section)
    lazy, suffix = _scan(files)
    separator = _SEPARATORS.get(suffix)
    if separator and is_utf16(files[0]):
        raise DataError(f"{path} is UTF-16. Save it as UTF-8, e.g. iconv -f utf-16 -t utf-8.")
    return Source(path, lazy, separator is None, (), tuple(files), separator)


def _whole_rows(source: Source) -> Source:
    """Without the blank lines of a text file; DataError where one of its rows is short."""
    if source.separator is None:
        return source
    theirs = source.columns
    lazy = source.rows.filter(~pl.all_horizontal(pl.col(theirs).is_null()))
    with source.reading():
        _check_width(list(source.files), theirs, lazy, source.label, source.separator)
    return replace(source, rows=lazy)


def _scan(files: list[Path]) -> tuple[pl.LazyFrame, str]:
    name = files[0].name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix in _SEPARATORS:
        # Text all through: a guessed type would turn the id "007" into 7.
        lazy = pl.scan_csv(files, separator=_SEPARATORS[suffix], infer_schema=False, glob=False)
    elif suffix in (".jsonl", ".ndjson"):
        lazy = pl.scan_ndjson(files, infer_schema_length=None)
    elif suffix == ".parquet":
        lazy = pl.scan_parquet(files, glob=False, hive_partitioning=False)
    else:
        raise ConfigError(f"{files[0].name}: Headrace reads {listed(_FORMATS)}, text also with .gz. Convert it to one of them.")
    return lazy.with_row_index(ROW, offset=1), suffix


def _ours(table: Table, path: str, theirs: list[str], columns: Mapping[str, str], optional: set[str]) -> dict[str, str]:
    """Our name -> theirs, contract columns first; DataError or ConfigError says all that does not fit."""
    section = f"[data.columns.{table.name}]"
    for our, their in columns.items():
        if their not in theirs:
            close = _closest(our, their, theirs)
            hint = f' Did you mean "{close}"?' if close else ""
            raise ConfigError(f'{section} {our} = "{their}": {path} has no column "{their}".{hint} It has: {listed(theirs, 30)}.')
        if our not in table.names and not table.open_ended:
            raise ConfigError(
                f'{section}: "{our}" is not a column of {table.name}.{nearest(our, table.names)} '
                f"Columns: {listed(table.names, 30)}."
            )
    names = {name: columns.get(name, name) for name in table.names if columns.get(name, name) in theirs}
    missing = [column.name for column in table.columns if column.required and column.name not in {*names, *optional}]
    if missing:
        free = [name for name in theirs if name not in names.values()]
        quoted = listed(f'"{name}"' for name in missing)
        opening = f"{path} has no column{'s' if len(missing) > 1 else ''} {quoted}. It has: {listed(theirs, 30)}."
        maps = "\n  ".join(f'{name} = "{_closest(name, name, free) or "..."}"' for name in missing)
        raise DataError(f"{opening} If it is there under another name, map it:\n  {section}\n  {maps}")
    if table.open_ended:
        taken = set(names.values())
        names |= {our: their for our, their in columns.items() if our not in names}
        names |= {name: name for name in theirs if name not in {*taken, *columns.values(), *names}}
    return names


def _closest(our: str, wanted: str, theirs: list[str]) -> str | None:
    """The file's column most likely meant: by spelling, then by what such a column is often called."""
    by_lower = {name.lower(): name for name in theirs}
    if spelled := get_close_matches(wanted.lower(), by_lower, n=1, cutoff=0.6):
        return by_lower[spelled[0]]
    return next((by_lower[name] for word in _ALSO_CALLED.get(our, ()) for name in by_lower if word in name), None)


def _check_width(files: list[Path], theirs: list[str], lazy: pl.LazyFrame, path: str, separator: str) -> None:
    """A short row reads as nulls at its end, so only a null in the last column makes a closer look needed."""
    if len(theirs) > 1 and lazy.select(pl.col(theirs[-1]).is_null().any()).collect(engine="streaming").item():
        uneven = uneven_row(files, separator)
        if uneven is not None:
            raise DataError(f"{path}: {uneven}")
