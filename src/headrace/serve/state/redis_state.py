"""The online state of several servers in one Redis: events and erasures here, items and answers given lately beside it.

A build leaves out what its own log holds as it reads, by hashes of events' ids. So builds of any age stand over one Redis, and
nothing is taken out of it when one of them is closed. One server at a time writes the event log, each into its own folder
(`redis_lease`, `redis_rows`), so an empty Redis is filled by every server from the files that it has.

While Redis is away: events, erasures and histories are refused with Unavailable; who is erased is what was last known here.
Cost: some round trips a request; O(log events + events read) in Redis.
"""

import json
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Bool, Int64
from headrace.contracts.rng import stable_hash
from headrace.contracts.serving import ServeConfig
from headrace.data.forget import without
from headrace.data.log import Log
from headrace.serve.state.database import Database, digest
from headrace.serve.state.layered import TIMES, Arrival, LayeredState
from headrace.serve.state.moments import Moments
from headrace.serve.state.redis_arrivals import RedisArrivals, Row, row_of
from headrace.serve.state.redis_erasures import RedisErasures
from headrace.serve.state.redis_lease import Lease
from headrace.serve.state.redis_look import Looks
from headrace.serve.state.redis_moments import RedisMoments
from headrace.serve.state.redis_rows import RowsWaiting
from headrace.serve.state.redis_scripts import APPEND, ARRIVALS, ARRIVED, ERASED, FILLED, FORGET, MOMENT, PENDING, SEEN, USER
from headrace.serve.state.redis_server import RedisServer, Unavailable
from headrace.serve.state.upper import SIGN, packed_time

_AT_ONCE = 10_000
_MANY = 5_000
"""Rows in one step, during which everybody else waits: 0.15 s or so. A list that was sent as one is one step however long."""
_LEASE, _LATE_S = 2, 2.0  # of rotate_s, and so much for files that take long


class RedisState(LayeredState):
    """folder: this server's own, no other's. settings: of [serve]. sole: as the one process of its server."""

    def __init__(self, folder: Path, log: Log, key: str, settings: ServeConfig, *, sole: bool = True):
        self.server, self._gone = RedisServer(settings), set[bytes]()
        self.looks = Looks(self.server)
        self.lease = Lease(self.server, folder, _LEASE * settings.rotate_s + _LATE_S, wanted=settings.writes_log)
        self._append_script: Any = self.server.client.register_script(APPEND)
        self._forget_script: Any = self.server.client.register_script(FORGET)
        super().__init__(folder, log, key, map_gb=settings.map_gb, sole=sole)
        try:
            self._begin()
        except BaseException:
            Database.close(self)
            raise

    def _begin(self) -> None:
        with self.reading() as reading:
            of_items = reading.stat(self.tables["item_rows"])["entries"]
        if of_items or self.waiting(1):
            says = 'rows of the time with [serve] state = "lmdb" wait for a file. Start it so once more and stop it with SIGTERM.'
            raise ConfigError(f"{self.folder}: {says}")
        with self.writing() as writing:  # another time with LMDB reads the files anew
            writing.put(b"tables", b"redis", db=self.tables["facts"])
        self.rows, self.arrivals = RowsWaiting(self, self.lease, PENDING, "events"), RedisArrivals(self.server, self.looks)
        self.others = RedisErasures(self.server, self, self.lease.folder, self.forget_digest)
        self._gone.update(self.server.ask(lambda redis: redis.smembers(ERASED)))
        self.stale = not self.server.ask(lambda redis: redis.sismember(FILLED, self.lease.folder))

    def _moments(self, now_us: Callable[[], int] | None) -> Moments:
        return RedisMoments(self.server, self.looks, now_us)

    def rebuild(self, served: Iterable[pl.DataFrame]) -> None:
        """An empty Redis is filled from the files that this server has. Beside another build nothing has to be done."""
        if len(self.views) == 1:
            for events in served:
                for some in events.iter_slices(_MANY):
                    self._sent(some, pending=False)
            self.server.ask(lambda redis: redis.sadd(FILLED, self.lease.folder))
        self.stale = False

    def looking(self, user_id: str, request_id: str) -> AbstractContextManager[None]:
        return self.looks.at(user_id, request_id)

    def look_again(self) -> None:
        self.looks.items_again()

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
        told = self.server.ask(lambda _: self._append_script([SEEN, ERASED, PENDING, MOMENT, USER, ARRIVED, ARRIVALS], args))
        if now:
            moments.took(int(told[0]))
        new[places] = np.array(told[1:], np.bool_)
        return new & ~mine

    @property
    def arrived(self) -> int:
        return self.arrivals.number

    def newer(self, since: int | None = None) -> tuple[int, Iterator[Arrival] | None]:
        if since is None:
            number, lots = self.arrivals.all()
            return number, (arrival for rows in lots for arrival in self._arrivals(rows))
        number, rows = self.arrivals.since(since)
        return number, None if rows is None else self._arrivals(rows)

    def _arrivals(self, rows: Sequence[Row]) -> Iterator[Arrival]:
        """Of these what is above this log."""
        held = self.known.among(np.array([hashed for *_, hashed, _ in rows], np.uint64)).tolist()
        for (user, at_us, received_us, _, item), below in zip(rows, held, strict=True):
            if not below:
                yield user, self.items.get(item, 0), at_us, received_us

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
        rows = [row_of(b"", one) for one in members]
        held = self.known.among(np.array([hashed for *_, hashed, _ in rows], np.uint64)).tolist()
        return [
            (self.items[item], at) for (_, at, received, _, item), below in zip(rows, held, strict=True)
            if item in self.items and received < at_us and not below
        ]  # fmt: skip

    def seen(self, event_ids: Sequence[str]) -> Bool:
        return self._among(SEEN, [digest(one) for one in event_ids]) | self.known.holds(event_ids)

    def erased(self, users: Sequence[str]) -> Bool:
        look = self.looks.mine
        if look is not None and list(users) == [look.user_id]:
            return np.array([look.erased or digest(look.user_id) in self._gone])
        return self.marked([digest(one) for one in users])

    def marked(self, digests: Sequence[bytes]) -> Bool:
        """Nobody comes back: whom Redis lost, this server goes on to know."""
        known = np.array([one in self._gone for one in digests], np.bool_)
        try:
            return known | self._among(ERASED, digests)
        except Unavailable:
            return known | Database.marked(self, digests)

    def _among(self, key: str, digests: Sequence[bytes]) -> Bool:
        if not digests:
            return np.zeros(0, np.bool_)
        return np.array(self.server.ask(lambda redis: redis.smismember(key, list(digests))), np.bool_)

    @property
    def erasures(self) -> int:
        look = self.looks.mine
        try:
            count = int(self.server.ask(lambda redis: redis.scard(ERASED))) if look is None else look.erasures
            if count != len(self._gone):
                self._gone.update(self.server.ask(lambda redis: redis.smembers(ERASED)))
        except Unavailable:
            pass
        return len(self._gone)

    def forget_digest(self, mine: bytes) -> int:
        """Rows removed. Redis then writes its append-only file anew, so that nothing of them stays there either."""
        keys = [ERASED, PENDING, USER.encode() + mine, ARRIVED]
        removed = int(self.server.ask(lambda _: self._forget_script(keys, [mine])))
        self._gone.add(mine)
        super().forget_digest(mine)
        self.server.rewrite()
        return removed

    @property
    def silent_s(self) -> float | None:
        return self.server.silent_s

    def left_to_follow(self) -> set[bytes]:
        if self.server.rewrite_due:
            self.server.rewrite()
        left = self.others.left()
        self._gone |= left
        return left

    def followed(self, digests: Collection[bytes]) -> None:
        self.others.followed(digests)

    def elsewhere(self) -> int:
        return self.others.elsewhere()

    def pending(self, limit: int = _AT_ONCE) -> tuple[list[bytes], pl.DataFrame]:
        keys, rows = self.rows.oldest(limit)
        return keys, self._frame(map(_row, rows))

    def rows_told(self) -> tuple[bool, int] | None:
        try:
            return bool(self.lease.term), self.rows.count()
        except Unavailable:
            return None

    def settle(self, folder: Path) -> None:
        for path in self.rows.settle(folder):
            users = pl.read_parquet(path, columns=["user_id"])["user_id"].unique()
            gone = users.filter(pl.Series(self.erased(users.to_list()), dtype=pl.Boolean))
            without(path, pl.col("user_id").is_in(gone.implode()))

    def agreed(self, keys: Sequence[bytes]) -> bool:
        return self.rows.leave(keys)

    def written(self, keys: Sequence[bytes]) -> None:
        self.rows.left(keys)

    def close(self) -> None:
        super().close()
        if not self.views:
            self.lease.let_go()
            self.server.close()


def _enough(found: Sequence[tuple[int, int]], members: Sequence[bytes], newest: int | None, most: int | None) -> bool:
    """Whether nothing unread belongs to the newest: a step is read whole, for the keys don't say which of it they are."""
    if most is None or newest is None or len(members) < most:
        return True
    oldest = struct.unpack(">Q", members[-1][:8])[0] - SIGN
    return len(found) >= newest and oldest < found[newest - 1][1]


def _row(fields: dict[bytes, bytes]) -> bytes:
    received, row = fields[b"received"], fields[b"row"]
    return json.dumps({**json.loads(row), "received_at": int(received)}).encode() if received else row
