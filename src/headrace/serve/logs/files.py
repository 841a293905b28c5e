"""Log files by day: TABLE/2026-11-22/NAME.parquet. A reader sees a whole file or none, also after a power cut."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import polars as pl

from headrace.artifacts.atomic import settle, writing


def write_by_day(folder: Path, rows: pl.DataFrame, time: str, name: str, agreed: Callable[[], bool] = lambda: True) -> bool:
    """time: the column that says the day (UTC); it stays. agreed: asked when all is on disk and nothing has its name yet; where
    it says no, or the disk takes not all, nothing of it is left. What `agreed` raises leaves it open (`name_left`)."""
    days = rows.group_by(pl.col(time).dt.date().alias("day"), maintain_order=True)
    written = [(folder / str(day) / f"{name}.parquet", mine) for (day,), mine in days]
    try:
        for path, mine in written:
            _write_beside(path, mine)
    except BaseException:
        _drop(written)
        raise
    if not agreed():
        _drop(written)
        return False
    for path, _ in written:
        _name(path)
    return True


def name_left(folder: Path, name: str | None) -> Sequence[Path]:
    """What was whole but for its name when a process died: files of this name get it, and others go."""
    named = []
    for beside in sorted(folder.glob("*/.*.parquet.new")):
        path = beside.with_name(beside.name.removeprefix(".").removesuffix(".new"))
        if path.stem == name:
            _name(path)
            named.append(path)
        else:
            beside.unlink()
    return named


def file_name(key: bytes) -> str:
    """By the number of its first row."""
    return f"{int.from_bytes(key, 'big'):016d}"


@contextmanager
def alone(root: Path, to: Literal["writing", "erasing"] = "writing") -> Iterator[None]:
    """One at a time, also between processes: those who write log files below the root, and an erasure that rewrites them.

    erasing: from the first step of an erasure to its last; it writes inside."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{to}").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")


def _drop(written: Sequence[tuple[Path, pl.DataFrame]]) -> None:
    for path, _ in written:
        with suppress(OSError):  # one that could not be made
            _beside(path).unlink()


def _write_beside(path: Path, rows: pl.DataFrame) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(_beside(path))
        settle(_beside(path))
        settle(path.parent)


def _name(path: Path) -> None:
    with writing(path):
        _beside(path).replace(path)
        for folder in (path.parent, path.parent.parent):  # the day's may be new
            settle(folder)
