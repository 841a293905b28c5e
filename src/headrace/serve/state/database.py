"""The embedded database (LMDB) under the online state: every change is one transaction, also between processes.

    newer, arrived   what came in above the builds' logs (`upper`)
    open      which builds are open, in which process (`whole`)
    seen      digest of an event's id
    pending   number -> the event's row, until it is in a file; under a key that an erasure destroys (`row_keys`)
    facts     which builds are whole, the next numbers
    erased    digest of a user who was erased
    followed  those of them that this server's files hold no more: of several servers on one Redis
    items, changes, item_rows    what was said of items since the build (`catalogue`)

A commit's pages are on disk before it returns, the page that names it as the last one with the next commit or `sync`. So a killed
process loses nothing, and a power cut at most the last commit: what is then found is the state as of the commit before, whole.
A process killed in a transaction did nothing, and the next takes its turn.
"""

import errno
import fcntl
import json
import os
import shutil
import struct
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from headrace.contracts.digests import DIGEST as DIGEST
from headrace.contracts.digests import digest as digest
from headrace.contracts.errors import ArtifactError, ConfigError, HeadraceError
from headrace.contracts.requests import Bool
from headrace.encode.optional import optional
from headrace.serve.logs.files import name_left
from headrace.serve.state.moments import begin_anew
from headrace.serve.state.row_keys import RowKeys
from headrace.serve.state.whole import forget_process

_NAMES = ("newer", "arrived", "open", "seen", "pending", "facts", "erased", "items", "changes", "item_rows", "followed")
_READERS = 1024  # at a time, of all processes
_RESIDUE, _ROW_KEY = b"residue", b"row key"
_TRIES, _LITTLE = 5, 2**20
_SPARE = 1.25  # of what may be kept, so that what is full can still be emptied: a deletion writes pages too
_TOO_LARGE = "{}: is as large as it may get. Raise [serve] map_gb and start the server again, or wait until events are in files."


class Occupied(ConfigError):
    """Another process serves the run."""


class Full(HeadraceError):
    """There is no room for what was to be kept; nothing of it is."""


class Database:
    """folder: an existing one. Rows are the caller's to read and write in a transaction; what a user leaves is removed here.

    sole: as the one server of its run, which Occupied refuses while another is. What an erasure left in unused pages goes then,
    and what was open is not any more. Further processes of that server open it beside.
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
        self._env, self._place = self._open_at(path), path
        self.tables = {name: self._env.open_db(name.encode()) for name in _NAMES}
        self._settled: set[Path] = set()
        self._most, self._row_keys = map_gb * 2**30, RowKeys(folder / "rows.key")
        key = self._row_key()
        if sole:
            begin_anew(folder)
            with self.writing() as writing:
                writing.drop(self.tables["open"], delete=False)
            if len(self._row_keys) > 1:  # an erasure was broken off
                self._row_keys.only(key)

    @property
    def lock(self) -> int:
        """The descriptor of the run's lock: who inherits it from the sole one holds the run too."""
        return self._lock.fileno()

    def reading(self) -> AbstractContextManager[Any]:
        return self._env.begin()  # type: ignore[no-any-return]

    @contextmanager
    def writing(self, *, adding: bool = False) -> Iterator[Any]:
        """adding: more than is taken out. Full: nothing was written, and all that was there still is."""
        with _room(self._place), self._env.begin(write=True) as writing:
            if adding and self._used(writing) > self._most:
                raise Full(_TOO_LARGE.format(self._place))
            yield writing
        self.unsynced.set()

    def erased(self, users: Sequence[str]) -> Bool:
        return self.marked([digest(one) for one in users])

    def marked(self, digests: Sequence[bytes]) -> Bool:
        """As `erased`, by digests of users."""
        with self.reading() as reading:
            return np.array([reading.get(one, db=self.tables["erased"]) is not None for one in digests], np.bool_)

    @property
    def erasures(self) -> int:
        """Users who were erased, by this process or another."""
        with self.reading() as reading:
            return int(reading.stat(self.tables["erased"])["entries"])

    def forget(self, user_id: str) -> int:
        """Rows removed. From here on the user is erased: nothing of theirs is taken in again."""
        return self.forget_digest(digest(user_id))

    def forget_digest(self, mine: bytes) -> int:
        """As `forget`, of a user whose id did not come along."""
        removed = 0
        with self.writing() as writing:
            writing.put(mine, b"", db=self.tables["erased"])
            writing.put(_RESIDUE, b"", db=self.tables["facts"])
            cursor = writing.cursor(self.tables["newer"])
            while cursor.set_range(mine) and cursor.key().startswith(mine):
                removed += cursor.delete()
            for number, row in writing.cursor(self.tables["arrived"]):
                if row.startswith(mine):
                    writing.delete(number, db=self.tables["arrived"])
            left, key = list(self.rows_waiting(writing)), self._row_keys.another()
            for number, row in left:
                if digest(json.loads(row)["user_id"]) == mine:
                    writing.delete(number, db=self.tables["pending"])
                else:
                    writing.put(number, self._row_keys.sealed(key, number, row), db=self.tables["pending"])
            writing.put(_ROW_KEY, struct.pack(">Q", key), db=self.tables["facts"])
        with self.writing() as writing:  # another process may be changing the key too: who comes last leaves the one in use
            self.sync()
            self._row_keys.only(self._key_in_use(writing))
        return removed

    def forget_process(self, pid: int) -> None:
        """What one that died had open here: the builds, and readings that would keep pages from being used again."""
        with self.writing() as writing:
            forget_process(writing, self.tables, pid)
        self._env.reader_check()

    def wait(self, writing: Any, number: int, row: bytes) -> None:
        """A row to be written to a file. number: nothing else's, ever."""
        place = struct.pack(">Q", number)
        writing.put(place, self._row_keys.sealed(self._key_in_use(writing), place, row), db=self.tables["pending"])

    def rows_waiting(self, reading: Any) -> Iterator[tuple[bytes, bytes]]:
        for number, value in reading.cursor(self.tables["pending"]):
            yield number, self._row_keys.opened(number, value)

    def waiting(self, limit: int) -> list[tuple[bytes, bytes]]:
        """The oldest pending rows."""
        for _ in range(_TRIES):
            try:
                with self.reading() as reading:
                    return list(islice(self.rows_waiting(reading), limit))
            except KeyError:  # another process changed the key: the rows lie under the new one now
                continue
        raise ArtifactError(f"{self._row_keys.path}: has not the keys of the rows that wait in {self._place}. Was it replaced?")

    def looking(self, user_id: str, request_id: str) -> AbstractContextManager[None]:
        """Around a page: what it asks often may be asked once where that takes a while."""
        return nullcontext()

    def look_again(self) -> None:
        """Which items changed is asked anew: the page is made."""

    def rows_told(self) -> tuple[bool, int] | None:
        """Whether this server is the one that writes files, and how many rows wait; None where it has no others beside it."""
        return None

    @property
    def silent_s(self) -> float | None:
        """How long ago Redis last answered; None where there is none."""
        return None

    def left_to_follow(self) -> set[bytes]:
        """Digests of users who were erased at another server, and whom this one's files may still name."""
        return set()

    def followed(self, digests: Collection[bytes]) -> None:
        """This server's files name them no more."""

    def elsewhere(self) -> int:
        """Other servers beside this one whose files may still name somebody who was erased."""
        return 0

    def settle(self, folder: Path) -> None:
        """Before files of rows that wait are written there: what was left of some is done with.

        Here its rows still wait, perhaps without those of somebody who was erased, and its file would have another name."""
        if folder not in self._settled:
            name_left(folder, None)
            self._settled.add(folder)

    def agreed(self, keys: Sequence[bytes]) -> bool:
        """Whether their file, which is on disk, may have its name. Then they are `written`."""
        return True

    def written(self, keys: Sequence[bytes]) -> None:
        with self.writing() as writing:
            for key in keys:
                writing.delete(key, db=self.tables["pending"])
        self.sync()

    def sync(self) -> None:
        if self.unsynced.is_set():
            self.unsynced.clear()
            with _room(self._place):
                self._env.sync(True)

    def close(self) -> None:
        self.sync()
        self._env.close()
        self._lock.close()

    def _row_key(self) -> int:
        """The number of the one that rows lie under."""
        with self.writing() as writing:
            writing.put(_ROW_KEY, struct.pack(">Q", self._row_keys.newest), db=self.tables["facts"], overwrite=False)
            return self._key_in_use(writing)

    def _key_in_use(self, reading: Any) -> int:
        return int(struct.unpack(">Q", reading.get(_ROW_KEY, db=self.tables["facts"]))[0])

    def _used(self, reading: Any) -> int:
        """Bytes of pages that hold something."""
        tables = [reading.stat(one) for one in self.tables.values()]
        return sum(one["psize"] * (one["leaf_pages"] + one["branch_pages"] + one["overflow_pages"]) for one in tables)

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


@contextmanager
def _room(path: Path) -> Iterator[None]:
    lmdb = _lmdb()
    try:
        yield
    except lmdb.MapFullError:
        raise Full(_TOO_LARGE.format(path)) from None
    except lmdb.Error as error:
        said = any(os.strerror(one) in str(error) for one in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
        if not said and shutil.disk_usage(path).free > _LITTLE:  # a write that was cut short is said to be one that failed
            raise
        raise Full(f"{path}: the disk is full ({error}). Make room; what was acknowledged is kept.") from None


def _opener(map_gb: float) -> Callable[[Path], Any]:
    size, lmdb = int(_SPARE * map_gb * 2**30), _lmdb()
    options = {"map_size": size, "max_dbs": len(_NAMES), "max_readers": _READERS, "metasync": False, "readahead": False}
    return lambda path: lmdb.open(str(path), **options)


def _lmdb() -> Any:
    return optional("lmdb", package="lmdb", extra="serve", purpose="Serving")
