"""The embedded database (LMDB) under the online state: every change is one transaction, also between processes.

    newer     digest of the user, time, digest of the event -> when it was received, hash of the event's id, item id
    seen      digest of an event's id
    pending   number -> the event's row, until it is in a file
    facts     which tables it belongs to, the next number
    erased    digest of a user who was erased
    items, changes, item_rows    what was said of items since the build (`catalogue`)

A commit reaches the operating system at once and the disk with the next `sync`: a killed process loses nothing, a power cut at
most what came since the last one.
"""

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Bool
from headrace.encode.optional import optional

DIGEST = 16
_NAMES = ("newer", "seen", "pending", "facts", "erased", "items", "changes", "item_rows")
_RESIDUE = b"residue"


class Occupied(ConfigError):
    """Another process serves the run."""


class Database:
    """folder: an existing one. Rows are the caller's to read and write in a transaction; what a user leaves is removed here.

    sole: as the one server of its run, which Occupied refuses while another is. What an erasure left in unused pages goes then.
    """

    def __init__(self, folder: Path, map_gb: float, *, sole: bool):
        self.unsynced, self._open_at = threading.Event(), _opener(map_gb)
        self.unsynced.set()
        path, self._lock = folder / "lmdb", (folder / "server.lock").open("a")
        if sole:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise Occupied(f"{folder.parent}: a server has it open. One server a run: stop that one first.") from None
            self._tidied(path)
        self._env = self._open_at(path)
        self.tables = {name: self._env.open_db(name.encode()) for name in _NAMES}

    def reading(self) -> AbstractContextManager[Any]:
        return self._env.begin()  # type: ignore[no-any-return]

    def writing(self) -> AbstractContextManager[Any]:
        self.unsynced.set()
        return self._env.begin(write=True)  # type: ignore[no-any-return]

    def erased(self, users: Sequence[str]) -> Bool:
        with self.reading() as reading:
            return np.array([reading.get(digest(one), db=self.tables["erased"]) is not None for one in users], np.bool_)

    @property
    def erasures(self) -> int:
        """Users who were erased, by this process or another."""
        with self.reading() as reading:
            return int(reading.stat(self.tables["erased"])["entries"])

    def forget(self, user_id: str) -> int:
        """Rows removed. From here on the user is erased: nothing of theirs is taken in again."""
        removed, mine = 0, digest(user_id)
        with self.writing() as writing:
            writing.put(mine, b"", db=self.tables["erased"])
            writing.put(_RESIDUE, b"", db=self.tables["facts"])
            cursor = writing.cursor(self.tables["newer"])
            while cursor.set_range(mine) and cursor.key().startswith(mine):
                removed += cursor.delete()
            theirs = [key for key, value in writing.cursor(self.tables["pending"]) if json.loads(value)["user_id"] == user_id]
            for key in theirs:
                writing.delete(key, db=self.tables["pending"])
        self.sync()
        return removed

    def waiting(self, limit: int) -> list[tuple[bytes, bytes]]:
        """The oldest pending rows."""
        with self.reading() as reading:
            return list(islice(reading.cursor(self.tables["pending"]), limit))

    def written(self, keys: Sequence[bytes]) -> None:
        with self.writing() as writing:
            for key in keys:
                writing.delete(key, db=self.tables["pending"])
        self.sync()

    def sync(self) -> None:
        if self.unsynced.is_set():
            self.unsynced.clear()
            self._env.sync(True)

    def close(self) -> None:
        self.sync()
        self._env.close()
        self._lock.close()

    def _tidied(self, path: Path) -> None:
        """A deleted row's bytes stay in the file until its page is used again: where a user was erased, the rest is written
        into a new one."""
        if not (path / "data.mdb").is_file():
            return
        old, beside = self._open_at(path), path.with_name("lmdb.new")
        facts = old.open_db(b"facts")
        with old.begin() as reading:
            residue = reading.get(_RESIDUE, db=facts) is not None
        if residue:
            shutil.rmtree(beside, ignore_errors=True)
            new = self._open_at(beside)
            pairs = [[env.open_db(name.encode()) for env in (old, new)] for name in _NAMES]
            with old.begin() as reading, new.begin(write=True) as writing:
                for source, target in pairs:
                    writing.cursor(target).putmulti(reading.cursor(source), append=True)
                writing.delete(_RESIDUE, db=pairs[_NAMES.index("facts")][1])
            new.sync(True)
            new.close()
        old.close()
        if residue:
            os.replace(beside / "data.mdb", path / "data.mdb")
            shutil.rmtree(beside)


def digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=DIGEST).digest()


def _opener(map_gb: float) -> Callable[[Path], Any]:
    lmdb: Any = optional("lmdb", package="lmdb", extra="serve", purpose="Serving")
    return lambda path: lmdb.open(str(path), map_size=int(map_gb * 2**30), max_dbs=len(_NAMES), sync=False, readahead=False)
