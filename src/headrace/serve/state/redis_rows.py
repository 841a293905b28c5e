"""Rows that wait in Redis for a file, which one of several servers writes at a time, into its own folder: each row into one file.

    1  the file is written and on disk, under a name that nobody reads
    2  in one step in Redis, under the server's term alone: its rows leave, and it is noted as the folder's last file
    3  the file gets its name

Killed before 2, a server finds the file when it starts, sees that it is not the one noted, and throws it away: its rows are
another's by then, or wait. Killed after 2, it gives the file its name. Where Redis did not say what came of 2, a new term is
taken first, so that nothing can come of it any more. And where a Redis that lost its last second brings back rows that were in a
file, the folder that holds the file knows it.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.serve.logs.files import file_name, name_left
from headrace.serve.state.database import Database
from headrace.serve.state.redis_lease import Lease
from headrace.serve.state.redis_scripts import ERASED, FILES, LEAVE, TERM
from headrace.serve.state.redis_server import Unavailable

Fields = dict[bytes, bytes]
_SEQUENCE = 20  # bits of a stream id's second part in a file's number


class RowsWaiting:
    """database: this server's own. stream: theirs in Redis. what: one word for them."""

    def __init__(self, database: Database, lease: Lease, stream: str, what: str):
        self.lease, self.server, self.stream = lease, lease.server, stream
        self._database, self._fact, self._field = database, f"in files: {what}".encode(), f"{what} {lease.folder}"
        self._leave: Any = self.server.client.register_script(LEAVE)
        self._open, self._erasures = True, 0  # the first: what became of the last file is not known
        self._last: bytes | None = None  # of those that waited when they were first asked for
        done = self._done()
        if done is not None:
            self.server.number_after(stream, _stream_id(done))

    def oldest(self, limit: int) -> tuple[list[bytes], list[Fields]]:
        """Rows in no file, with their numbers, where this server is to write them; none while Redis is away.

        Asked again until there are none, it ends with those that waited at first: others may send without a pause."""
        try:
            rows = self.server.ask(lambda redis: self._read(redis, limit)) if self.lease.held() else []
        except Unavailable:
            rows = []
        return [_number(name) for name, _ in rows], [fields for _, fields in rows]

    def settle(self, folder: Path) -> Sequence[Path]:
        """What is left of files that were being written. Those that got their names: a user may have been erased meanwhile."""
        self._last = None
        if not self._open or not self.lease.wanted:
            return []
        self.lease.held(anew=True)
        noted = self.server.ask(lambda redis: redis.hget(FILES, self._field))
        self._open = False
        return name_left(folder, None if noted is None else noted.decode())

    def leave(self, keys: Sequence[bytes]) -> bool:
        """Whether their file counts. It does not where another server has the lease by now, or somebody was erased meanwhile."""
        self._open = True
        places = [TERM, self.stream, FILES, ERASED]
        args = [self.lease.term, _stream_id(keys[-1], 1), self._field, file_name(keys[0]), self._erasures]
        told = self.server.ask(lambda _: self._leave(places, args))
        self._open = bool(told)
        return self._open

    def left(self, keys: Sequence[bytes]) -> None:
        """Their file has its name."""
        self._open = False
        with self._database.writing() as writing:
            writing.put(self._fact, keys[-1], db=self._database.tables["facts"])
        self._database.sync()

    def count(self) -> int:
        return int(self.server.ask(lambda redis: redis.xlen(self.stream)))

    def _read(self, redis: Any, limit: int) -> Any:
        done, pipe = self._done(), redis.pipeline(transaction=True)
        if done is not None:
            pipe.xtrim(self.stream, minid=_stream_id(done, 1), approximate=False)
        if self._last is None:
            self._last = next((name for name, _ in redis.xrevrange(self.stream, count=1)), b"+")
        self._erasures, rows = pipe.scard(ERASED).xrange(self.stream, max=self._last, count=limit).execute()[-2:]
        self._last = self._last if rows else None
        return rows

    def _done(self) -> bytes | None:
        """The last row in this folder's files."""
        with self._database.reading() as reading:
            found: bytes | None = reading.get(self._fact, db=self._database.tables["facts"])
        return found


def _number(name: bytes) -> bytes:
    """Of a stream's id, in the order of ids: a file is named by its first row's."""
    ms, sequence = map(int, name.split(b"-"))
    return struct.pack(">Q", ms << _SEQUENCE | sequence)


def _stream_id(number: bytes, further: int = 0) -> str:
    ms, sequence = divmod(struct.unpack(">Q", number)[0] + further, 1 << _SEQUENCE)
    return f"{ms}-{sequence}"
