"""Why a file can't be read, in words its owner can act on. Looked into only once reading has failed."""

import csv
import gzip
from pathlib import Path
from typing import IO

import polars as pl


def explained(error: Exception, path: str, files: list[Path], separator: str | None) -> str:
    """One message for an error of the reader."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, pl.exceptions.NoDataError) or all(file.stat().st_size == 0 for file in files):
        return f"{path} is empty: not even a header. It must have one row at least."
    if "utf-8" in said.lower() or "utf8" in said.lower():
        return f"{path} is not UTF-8{_first_strange_byte(files)}. Save it as UTF-8, e.g. iconv -f latin1 -t utf-8."
    if separator is not None and (uneven := uneven_row(files, separator)):
        return f"{path}: {uneven}"
    broken = [file for file in files if file.suffix == ".parquet" and not _whole(file)]
    if broken:
        return f"{path}: {broken[0].name} is cut short or not Parquet (it does not end with PAR1). Write or copy it again."
    return f"{path} can't be read: {said}"


def uneven_row(files: list[Path], separator: str) -> str | None:
    """The first row that has another number of fields than its header, or None."""
    for file in files:
        with _opened(file) as stream:
            lines = (line.decode("utf-8", "replace") for line in stream)
            rows = csv.reader(lines, delimiter=separator)
            try:
                width = len(next(rows, []))
                for number, row in enumerate(rows, start=1):
                    if row and len(row) != width:
                        return (
                            f"row {number:,} of {file.name} has {len(row)} fields, its header has {width}. "
                            "A separator inside a value must stand in quotes; every row needs all fields."
                        )
            except csv.Error:  # a field past the module's limit: rows can't be told apart here
                return None
            except (OSError, EOFError):
                return f"{file.name} is cut short. Write or copy it again."
    return None


def is_utf16(file: Path) -> bool:
    """Such text has zero bytes in its header and reads as one odd column."""
    try:
        with _opened(file) as stream:
            return stream.read(2) in (b"\xff\xfe", b"\xfe\xff")
    except (OSError, EOFError):
        return False


def _first_strange_byte(files: list[Path]) -> str:
    for file in files:
        with _opened(file) as stream:
            for number, line in enumerate(stream):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    return f": byte 0x{line[error.start]:02x} in line {number + 1:,} of {file.name}"
    return ""


def _opened(file: Path) -> IO[bytes]:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _whole(file: Path) -> bool:
    with file.open("rb") as stream:
        content = stream.seek(0, 2)
        if content < 12:
            return False
        stream.seek(-4, 2)
        return stream.read() == b"PAR1"
