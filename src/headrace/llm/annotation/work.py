"""The work folder beside the out file: what a run that was stopped goes on with.

    topics.parquet.work/answers.sqlite           every answer, by what was asked; all settings share it
                        KEY/rows.parquet         the rows, as they were when work began
                            part-000000.parquet  a chunk, whole or not there
                            settings.json        what KEY is the digest of

Other settings or other data are another KEY: work begins anew, and questions that are still the same are answered from the file.
"""

import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from headrace.artifacts.atomic import place, replacing
from headrace.contracts.config import digest
from headrace.contracts.errors import ArtifactError

ANSWERS = "answers.sqlite"
_SETTINGS = "settings.json"


class Work:
    """One set of settings in it. differs: in what a run that was not finished had other settings, "" where there is none."""

    def __init__(self, out: Path, identity: Mapping[str, Any]):
        self.out, self.folder, self.key = out, folder_of(out), digest(identity)
        self.room = self.folder / self.key[:16]
        self.rows = self.room / "rows.parquet"
        known = (self.room / _SETTINGS).exists()
        self.differs = "" if known else self._others(identity)
        if not known:
            place(self.room / _SETTINGS, json.dumps(identity, indent=1) + "\n")

    def part(self, number: int) -> Path:
        return self.room / f"part-{number:06d}.parquet"

    def put(self, number: int, frame: pl.DataFrame) -> None:
        with replacing(self.part(number)) as beside:
            frame.write_parquet(beside)

    def missing(self, chunks: int) -> list[int]:
        return [number for number in range(chunks) if not self.part(number).exists()]

    def join(self, chunks: int) -> None:
        """Part after part, a few in memory at a time; the parts go once the out file is there."""
        parts = [self.part(number) for number in range(chunks)]
        with replacing(self.out) as beside:
            pl.scan_parquet(parts, glob=False).sink_parquet(beside)
        for room in self._rooms():
            shutil.rmtree(room)

    def _others(self, identity: Mapping[str, Any]) -> str:
        differs = ""
        for room in self._rooms():
            if any(room.glob("part-*.parquet")):
                differs = ", ".join(_different(json.loads((room / _SETTINGS).read_text()), identity))
            else:  # of a dry run, say, before the prompt was changed: there is nothing to go on with
                shutil.rmtree(room)
        return differs

    def _rooms(self) -> Iterable[Path]:
        return sorted(path.parent for path in self.folder.glob(f"*/{_SETTINGS}"))


def folder_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.work")


@contextmanager
def alone(out: Path) -> Iterator[Path]:
    """The work folder, made where there is none, for this process alone: two runs would pay for every row twice."""
    folder = folder_of(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise ArtifactError(f"{folder}: can't be made or written ({error.strerror}). Choose another place with --out.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArtifactError(f"{folder}: another run is at work there. Wait for it, or choose another --out.") from None
        yield folder


def _different(theirs: Any, ours: Any, place: str = "") -> Iterator[str]:
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for name in sorted(theirs.keys() | ours.keys()):
            yield from _different(theirs.get(name), ours.get(name), f"{place}.{name}".lstrip("."))
    elif theirs != ours:
        yield place
