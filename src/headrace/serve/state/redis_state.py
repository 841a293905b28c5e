"""The online state of several servers: events and erasures in one Redis, what was said of items in each server's own database.

A build leaves out what its own log holds as it reads, by hashes of events' ids. So builds of any age stand over one Redis, and
nothing is taken out of it when one of them is closed. One of the servers writes the event log: rows leave the stream once their
file has its name and is on disk, and up to which row that is stands in the writer's own database.

While Redis is away: events, erasures and histories are refused with Unavailable; who is erased is what was last known here.
Cost: some round trips a request; O(log events + events read) in Redis.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Bool, Int64
from headrace.contracts.rng import stable_hash
from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.state.database import Database, Occupied, digest
from headrace.serve.state.layered import SIGN, TIMES, LayeredState, packed_time
from headrace.serve.state.moments import Moments
from headrace.serve.state.redis_moments import RedisMoments
from headrace.serve.state.redis_scripts import APPEND, ERASED, FORGET, MOMENT, PENDING, SEEN, TABLES, USER, WRITER
from headrace.serve.state.redis_server import RedisServer, Unavailable

_WRITTEN = b"redis written"
_HEAD = struct.Struct(">Q16sqQ")  # of a user's row, before the item's id
_SEQUENCE = 20  # bits of a stream id's second part in a file's number
_AT_ONCE = 10_000
_MANY = 100_000


class RedisState(LayeredState):
    """folder: this server's own, no other's. settings: of [serve]."""

    def __init__(self, folder: Path, log: Log, key: str, settings: ServeConfig):
        self.server, self.writes, self._gone = RedisServer(settings), settings.writes_log, set[bytes]()
        self._append_script: Any = self.server.client.register_script(APPEND)
        self._forget_script: Any = self.server.client.register_script(FORGET)
        super().__init__(folder, log, key, map_gb=settings.map_gb)
        try:
            self._begin()
        except BaseException:
            Database.close(self)
            raise

    def _begin(self) -> None:
        if self.waiting(1):
            says = 'rows of the time with [serve] state = "lmdb" wait for a file. Start it so once more and stop it with SIGTERM.'
            raise ConfigError(f"{self.folder}: {says}")
        with self.writing() as writing:  # another time with LMDB reads the files anew
            writing.put(b"tables", b"redis", db=self.tables["facts"])
        if self.writes:
            self._sole_writer()
        self._gone.update(self.server.ask(lambda redis: redis.smembers(ERASED)))
        self.stale = self.writes and not self.server.ask(lambda redis: redis.exists(TABLES))

    def _sole_writer(self) -> None:
        path = self.folder / "writer.id"
        if not path.is_file():
            path.write_text(uuid4().hex)
        mine = f"{path.read_text()} {path.stat().st_ino}".encode()  # a copy of the folder is another server's
        self.server.ask(lambda redis: redis.set(WRITER, mine, nx=True))
        if self.server.ask(lambda redis: redis.get(WRITER)) != mine:
            says = "another server writes the event log. Set [serve] writes_log = false for this one"
            raise Occupied(f"{self.folder.parent}: {says}; to move the task, see docs/runbook.md.")
        done = self._done()
        if done is not None:
            self.server.number_after(PENDING, _stream_id(done))

    def _done(self) -> bytes | None:
        """The last row that is in a file."""
        with self.reading() as reading:
            found: bytes | None = reading.get(_WRITTEN, db=self.tables["facts"])
        return found

    def timed(self, now_us: Callable[[], int] | None) -> Moments:
        self.moments = RedisMoments(self.server, now_us)
        return self.moments

    def rebuild(self, served: Iterable[pl.DataFrame]) -> None:
        """An empty Redis is filled from the event log's files. Beside another build nothing has to be done."""
        if len(self.views) == 1 and self.writes:
            for events in served:
                for some in events.iter_slices(_MANY):
                    self._sent(some, pending=False)
            self.server.ask(lambda redis: redis.set(TABLES, b"1"))
        self.stale = False

    def _receive_all(self, held: Sequence[pl.DataFrame]) -> list[Bool]:
        if sum(map(len, held)) > _MANY:
            return [self._sent(events, now=True) for events in held]
        new = self._sent(pl.concat(held), now=True)
        return np.split(new, np.cumsum([len(events) for events in held])[:-1])

    def _append(self, events: pl.DataFrame) -> Bool:
        return self._sent(events)

    def _sent(self, events: pl.DataFrame, *, now: bool = False, pending: bool = True) -> Bool:
        """Which are new to this build. now: received in this very step."""
        rows = events.with_columns(pl.col(TIMES).dt.timestamp("us")).to_dicts()
        hashes = stable_hash(events["event_id"].to_list())
        below = [view.known.among(hashes) for view in self.views]
        places, new = np.flatnonzero(~np.all(below, 0)), np.zeros(len(rows), np.bool_)
        mine = self.known.among(hashes)
        if not len(places):
            return new
        moments: Any = self.moments
        floor = moments.floor() if now else 0
        args: list[Any] = [floor, int(now), int(now and moments.of_redis), int(not pending)]
        for place in places.tolist():
            row = rows[place]
            head = (
                digest(row["user_id"]) + digest(row["event_id"]) + packed_time(row["at"]) + struct.pack(">q", row["received_at"])
            )
            history = self.positive is None or row["kind"] in self.positive
            tail = struct.pack(">Q", int(hashes[place])) + row["item_id"].encode() if history else b""
            args += [head, tail, json.dumps(row).encode() if pending and not mine[place] else b""]
        told = self.server.ask(lambda _: self._append_script([SEEN, ERASED, PENDING, MOMENT, USER], args))
        if now:
            moments.took(int(told[0]))
        new[places] = np.array(told[1:], np.bool_)
        return new & ~mine

    def newer(self) -> Iterator[tuple[bytes, int, int, int]]:
        says = 'are kept up from one server\'s own events. Build without it, or serve with [serve] state = "lmdb".'
        raise ConfigError(f"[features] count_days: trailing counts {says}")

    def _above(self, users: Sequence[str], at_us: Int64, newest: int | None) -> list[list[tuple[int, int]]]:
        asked = [(digest(user), int(at)) for user, at in zip(users, at_us.tolist(), strict=True)]
        found: list[list[tuple[int, int]]] = [[] for _ in asked]
        left, most = list(range(len(asked))), None if newest is None else newest + 1
        while left:
            read = self._members([asked[place] for place in left], most)
            for place, members in zip(left, read, strict=True):
                found[place] = self._known_by(members, asked[place][1])
            left = [place for place, members in zip(left, read, strict=True) if not _enough(found[place], members, newest, most)]
            most = None if most is None else 4 * most
        return found

    def _members(self, asked: Sequence[tuple[bytes, int]], most: int | None) -> list[list[bytes]]:
        """The newest rows before each moment, newest first."""

        def work(redis: Any) -> Any:
            pipe = redis.pipeline(transaction=False)
            for user, at_us in asked:
                start, num = (None, None) if most is None else (0, most)
                pipe.zrevrangebylex(USER.encode() + user, b"(" + packed_time(at_us), b"-", start=start, num=num)
            return pipe.execute()

        read: list[list[bytes]] = self.server.ask(work)
        return read

    def _known_by(self, members: Sequence[bytes], at_us: int) -> list[tuple[int, int]]:
        """(item, time) of rows that had been received, of items the log knows and that its own events are not."""
        rows = [(*_HEAD.unpack(one[: _HEAD.size]), one[_HEAD.size :].decode()) for one in members]
        read = self.known.among(np.array([hashed for _, _, _, hashed, _ in rows], np.uint64))
        told = [(self.items.get(item), at - SIGN, received) for at, _, received, _, item in rows]
        return [
            (item, at) for (item, at, received), held in zip(told, read.tolist(), strict=True)
            if item is not None and received < at_us and not held
        ]  # fmt: skip

    def seen(self, event_ids: Sequence[str]) -> Bool:
        return self._among(SEEN, event_ids) | self.known.holds(event_ids)

    def erased(self, users: Sequence[str]) -> Bool:
        try:
            return self._among(ERASED, users)
        except Unavailable:
            return np.array([digest(user) in self._gone for user in users], np.bool_) | Database.erased(self, users)

    def _among(self, key: str, names: Sequence[str]) -> Bool:
        if not names:
            return np.zeros(0, np.bool_)
        return np.array(self.server.ask(lambda redis: redis.smismember(key, [digest(one) for one in names])), np.bool_)

    @property
    def erasures(self) -> int:
        try:
            count = int(self.server.ask(lambda redis: redis.scard(ERASED)))
            if count != len(self._gone):
                self._gone.update(self.server.ask(lambda redis: redis.smembers(ERASED)))
        except Unavailable:
            pass
        return len(self._gone)

    def forget(self, user_id: str) -> int:
        """Rows removed. Redis then writes its append-only file anew, so that nothing of them stays there either."""
        mine = digest(user_id)
        keys = [ERASED, PENDING, USER.encode() + mine]
        removed = int(self.server.ask(lambda _: self._forget_script(keys, [mine])))
        self._gone.add(mine)
        super().forget(user_id)
        self.server.rewrite()
        return removed

    def pending(self, limit: int = _AT_ONCE) -> tuple[list[bytes], pl.DataFrame]:
        """The oldest rows that are in no file; none while Redis is away, where they wait on."""
        rows: list[tuple[bytes, dict[bytes, bytes]]] = []
        if self.writes:
            try:
                rows = self.server.ask(lambda redis: self._waiting(redis, limit))
            except Unavailable:
                rows = []
        return [_number(name) for name, _ in rows], self._frame(_row(fields) for _, fields in rows)

    def _waiting(self, redis: Any, limit: int) -> Any:
        done = self._done()
        if done is not None:  # what is in a file leaves, though Redis may have been away or lost it when it was told
            redis.xtrim(PENDING, minid=_stream_id(done, 1), approximate=False)
        return redis.xrange(PENDING, count=limit)

    def written(self, keys: Sequence[bytes]) -> None:
        with self.writing() as writing:
            writing.put(_WRITTEN, keys[-1], db=self.tables["facts"])
        self.sync()

    def close(self) -> None:
        super().close()
        if not self.views:
            self.server.close()


def _enough(found: Sequence[tuple[int, int]], members: Sequence[bytes], newest: int | None, most: int | None) -> bool:
    """Whether nothing unread belongs to the newest: a step is read whole, for the keys don't say which of it they are."""
    if most is None or newest is None or len(members) < most:
        return True
    oldest = struct.unpack(">Q", members[-1][:8])[0] - SIGN
    return len(found) >= newest and oldest < found[newest - 1][1]


def _number(name: bytes) -> bytes:
    """Of a stream's id, in the order of ids: a file is named by its first row's."""
    ms, sequence = map(int, name.split(b"-"))
    return struct.pack(">Q", ms << _SEQUENCE | sequence)


def _stream_id(number: bytes, further: int = 0) -> str:
    ms, sequence = divmod(struct.unpack(">Q", number)[0] + further, 1 << _SEQUENCE)
    return f"{ms}-{sequence}"


def _row(fields: dict[bytes, bytes]) -> bytes:
    received, row = fields[b"received"], fields[b"row"]
    return json.dumps({**json.loads(row), "received_at": int(received)}).encode() if received else row
