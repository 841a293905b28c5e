"""Log files by day: TABLE/2026-11-22/NAME.parquet. A reader sees a whole file or none, also after a power cut."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from headrace.artifacts.atomic import writing


def write_by_day(folder: Path, rows: pl.DataFrame, time: str, name: str) -> None:
    """time: the column that says the day (UTC); it stays."""
    for (day,), mine in rows.group_by(pl.col(time).dt.date().alias("day"), maintain_order=True):
        write(folder / str(day) / f"{name}.parquet", mine)


def file_name(key: bytes) -> str:
    """By the number of its first row."""
    return f"{int.from_bytes(key, 'big'):016d}"


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """One at a time, also between processes: those who write log files below the root, and an erasure that rewrites them."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".writing").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write(path: Path, rows: pl.DataFrame) -> None:
    beside = path.with_name(f".{path.name}.new")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(beside)
        settle(beside)
        beside.replace(path)
        for folder in (path.parent, path.parent.parent):  # the day's may be new
            settle(folder)


def settle(path: Path) -> None:
    """What a file holds, or which names a folder has, is on disk when it returns."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
