"""What all processes of a server know of the last while, and no start after it: a small database (LMDB) beside the state's.

    requests, order     answers given, by request; which came first (`recent`)
    answers, shown      how generations fare (`live.tally`); whose page a request's is, so that a click finds it
    compared, counts    what a shadow found, and how often something was (`live.shadow`, `live.arms`)
    callers             how much of its rate each caller has left (`guard.paced`)
    asked               what one process was asked and all are to do: a number that rises, and what it was
    facts               the number of the key that answers given lie under

Nothing of it is waited for: no commit waits for the disk, and a server that is started begins with it empty, so that what a power
cut leaves is never read. What can't be written, because the disk is full, is lost, counted, and nobody's answer fails for it.
Pages are written to the file and not through the map: LMDB's writemap takes a third of the time, but then a full disk kills the
process instead of failing the write. Cost of an answer: one transaction, some 17 pages of 4 kB.
"""

import logging
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.encode.optional import optional
from headrace.serve.state.database import Full, digest

log = logging.getLogger(__name__)

MAP_MB = 1024
"""Its address space; the file is as large as what was held at most."""
_NAMES = ("requests", "order", "answers", "shown", "compared", "counts", "callers", "asked", "facts")
_READERS = 1024


def emptied(folder: Path) -> Path:
    """By whoever holds the run, before any of its processes opens it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


class Lately:
    """folder: of this server's start (`emptied`). lost: told of each transaction that could not be written."""

    def __init__(self, folder: Path, lost: Callable[[], None] = lambda: None):
        self._lmdb = optional("lmdb", package="lmdb", extra="serve", purpose="Serving")
        self._env = self._lmdb.open(
            str(folder), map_size=MAP_MB * 2**20, max_dbs=len(_NAMES), max_readers=_READERS, sync=False, metasync=False,
            readahead=False,
        )  # fmt: skip
        self._env.reader_check()  # a process that was killed while it read would keep its pages from being used again
        self.tables = {name: self._env.open_db(name.encode()) for name in _NAMES}
        self._lost, self._mine, self.folder = lost, threading.local(), folder

    def reading(self) -> AbstractContextManager[Any]:
        """A snapshot, as of what was committed."""
        return self._env.begin()  # type: ignore[no-any-return]

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One transaction, also of all that this thread notes inside it. Full: nothing of it was written."""
        try:
            with self._env.begin(write=True) as self._mine.writing:
                yield self._mine.writing
        except self._lmdb.Error as error:
            raise Full(f"{self.folder}: what came lately can't be kept ({error}). Make room on the disk.") from None
        finally:
            self._mine.writing = None

    @contextmanager
    def noting(self) -> Iterator[Any]:
        """As `writing`, of what an answer can do without: where there is no room it is lost."""
        if getattr(self._mine, "writing", None) is not None:
            yield self._mine.writing
            return
        try:
            with self.writing() as writing:
                yield writing
        except Full as error:
            log.warning("%s", error)
            self._lost()

    def used(self, reading: Any, table: str) -> int:
        """Bytes of a table's pages."""
        one = reading.stat(self.tables[table])
        return int(one["psize"] * (one["leaf_pages"] + one["branch_pages"] + one["overflow_pages"]))

    def add(self, name: str, by: int = 1) -> None:
        with self.noting() as writing:
            key, table = digest(name), self.tables["counts"]
            writing.put(key, struct.pack(">q", _number(writing.get(key, db=table)) + by), db=table)

    def count(self, name: str) -> int:
        """What was added since the server was started, by all its processes."""
        with self.reading() as reading:
            return _number(reading.get(digest(name), db=self.tables["counts"]))

    def ask(self, name: str, value: str = "") -> int:
        """Its number: one more than that of what was asked under this name before. Full."""
        with self.writing() as writing:
            key, table = digest(name), self.tables["asked"]
            number = _number((writing.get(key, db=table) or b"")[:8]) + 1
            writing.put(key, struct.pack(">q", number) + value.encode(), db=table)
            return number

    def asked(self, name: str) -> tuple[int, str]:
        """What was asked last under this name; (0, "") if nothing was."""
        with self.reading() as reading:
            found = reading.get(digest(name), db=self.tables["asked"]) or b""
            return _number(found[:8]), found[8:].decode()

    def close(self) -> None:
        self._env.close()


@dataclass(frozen=True)
class Ring:
    """The last `most` of something, the oldest first. of: whose, where several lie in one table."""

    table: Any
    most: int
    of: bytes = b""

    def add(self, writing: Any, value: bytes) -> int:
        """The number it got."""
        number = self._next(writing.cursor(self.table))
        writing.put(self.key(number), value, db=self.table, append=not self.of)
        return number

    def key(self, number: int) -> bytes:
        return self.of + struct.pack(">Q", number)

    def over(self, writing: Any, number: int) -> list[bytes]:
        """Takes out what is too old beside the newest, whose number it is."""
        cursor, out = writing.cursor(self.table), []
        while cursor.set_range(self.of) and number - struct.unpack(">Q", cursor.key()[len(self.of) :])[0] >= self.most:
            out.append(cursor.value())
            cursor.delete()
        return out

    def pop(self, writing: Any) -> bytes:
        """The oldest; KeyError where there is none."""
        cursor = writing.cursor(self.table)
        if not cursor.set_range(self.of) or not cursor.key().startswith(self.of):
            raise KeyError(self.of)
        value: bytes = cursor.value()
        cursor.delete()
        return value

    def values(self, reading: Any) -> list[bytes]:
        cursor, found = reading.cursor(self.table), []
        if cursor.set_range(self.of):
            for key, value in cursor:
                if not key.startswith(self.of):
                    break
                found.append(value)
        return found

    def _next(self, cursor: Any) -> int:
        there = cursor.prev() if cursor.set_range(self.of + b"\xff" * 9) else cursor.last()
        if not there or not cursor.key().startswith(self.of):
            return 0
        return int(struct.unpack(">Q", cursor.key()[len(self.of) :])[0]) + 1


def whose(name: str) -> bytes:
    """What belongs to a generation lies under this."""
    return digest(name)[:8]


def _number(packed: bytes | None) -> int:
    return int(struct.unpack(">q", packed)[0]) if packed else 0
