"""What the server knows of a user at this moment: the build's history store below, what came in since above it, in LMDB.

The store is memory-mapped or already in memory, so a server starts at once whatever the log's size; only what is newer is written
here. Rows carry ids, not numbers, so the next generation reads them with its own vocabulary.

    key = digest of the user, time, digest of the event      value = when it was received, hash of the event's id, item id

Several builds may be open at once over one upper layer (`beside`), each with what its own log holds left out of it. An event is
above as long as the log of one of them lacks it; when a build is closed, what all that stay open have read is taken out.
Keys sort by user and time, so the newest events before a moment are one seek and a walk back. Cost O(log events + events read).
A user who was erased has no history in either layer and no number, and nothing of theirs is taken in any more: what the build
below still holds of them is not looked at.
"""

import copy
import json
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.requests import Bool, History, Int32, Int64
from headrace.contracts.rng import mix, seed_of, stable_hash
from headrace.contracts.tables import EVENTS, TIME
from headrace.data.log import Log
from headrace.serve.state.database import DIGEST, Database, digest
from headrace.serve.state.known import KnownEvents
from headrace.serve.state.moments import Moments
from headrace.serve.state.together import Together

SIGN = 1 << 63  # so that times before 1970 sort before those after
TIMES = ("at", "received_at")
_FORM = "2 "  # before the tables' key: rows as another version wrote them are made anew
_HEAD = 16  # of a value, before the item's id
_AT_ONCE = 10_000


@runtime_checkable
class OnlineState(Protocol):
    """events: rows of the contract's table, each with event_id and received_at."""

    def append(self, events: pl.DataFrame) -> Bool:
        """Which were new and are kept; one whose id is known is left as it is."""

    def receive(self, events: pl.DataFrame) -> Bool:
        """As `append`, received now."""

    def history(self, users: Sequence[str], at_us: Int64, newest: int | None = None) -> History:
        """Events strictly before each moment that had also been received by then."""

    def seen(self, event_ids: Sequence[str]) -> Bool: ...
    def erased(self, users: Sequence[str]) -> Bool: ...
    def forget(self, user_id: str) -> int:
        """Rows removed."""


class LayeredState(Database):
    """An `OnlineState` over a log. folder: an existing one. key: of the tables the log was read from.

    Positive events of known items become history; all become pending rows for the event log, until `written`. stale: the upper
    layer was kept for other tables: `rebuild` it. heard: told of the events that came in and are above this log.
    """

    def __init__(self, folder: Path, log: Log, key: str, *, map_gb: float = 16.0, sole: bool = True):
        super().__init__(folder, map_gb, sole=sole)
        self.folder, self.changing = folder, threading.Lock()
        self.views: list[LayeredState] = []
        self.moments = self.timed(None)
        with self.reading() as reading:
            found = reading.get(b"tables", db=self.tables["facts"])
        self._over(log, key, stale=found != (_FORM + key).encode())

    def beside(self, log: Log, key: str) -> "LayeredState":
        """Another build over the same upper layer; closed for itself. It is to be `rebuild` before it is read."""
        mine = copy.copy(self)
        mine._over(log, key, stale=True)
        return mine

    def _over(self, log: Log, key: str, *, stale: bool) -> None:
        self.log, self.stale, self._key = log, stale, key
        self.known = KnownEvents.of(log.tables, self.folder / f"known-{key}.npy")
        self.users = dict(zip(log.users.ids.to_list(), range(1, len(log.users)), strict=True))
        self.items = dict(zip(log.items.ids.to_list(), range(1, len(log.items)), strict=True))
        self.positive = {name for name, kind in log.kinds.items() if kind.polarity == "positive"} if log.kinds else None
        self.heard: Callable[[pl.DataFrame], None] | None = None
        self.also_below: set[bytes] = set()  # digests of events above that this log holds
        self._together = Together(self._receive_all)
        with self.changing:
            self.views.append(self)
        if not stale:
            self._note_read()

    def rebuild(self, served: Iterable[pl.DataFrame]) -> None:
        """Of all that was ever served, what this log lacks is above from here on.

        The only build: the upper layer is made anew. Beside others, what all of them have read and this one has not is put back.
        """
        if len(self.views) > 1:
            self._note_read()
            waits = self._frame(row for _, row in self.waiting(2**62))
            for events in chain([waits], served):  # in this order: what waits may be in a file by the time these are read
                lacking = events.filter(pl.Series(self._lacking(stable_hash(events["event_id"].to_list())), dtype=pl.Boolean))
                if len(lacking):
                    with self.changing, self.writing() as writing:
                        self._put(writing, lacking, pending=False)
        else:
            with self.changing, self.writing() as writing:
                writing.drop(self.tables["newer"], delete=False)
                for events in served:
                    self._put(writing, events, pending=False)
                self._put(writing, self._frame(row for _, row in self.rows_waiting(writing)), pending=False)
                writing.put(b"tables", (_FORM + self._key).encode(), db=self.tables["facts"])
        self.stale = False

    def append(self, events: pl.DataFrame) -> Bool:
        with self.changing:
            return self._append(events)

    def receive(self, events: pl.DataFrame) -> Bool:
        """As `append`, received now, whatever they say. Those of callers that come at once are one commit."""
        return self._together(events)

    def _receive_all(self, held: Sequence[pl.DataFrame]) -> list[Bool]:
        with self.changing, self.moments.received() as now_us:
            received = pl.lit(now_us, pl.Int64).cast(TIME)
            new = self._append(pl.concat(held).with_columns(received_at=received))
        return np.split(new, np.cumsum([len(events) for events in held])[:-1])

    def _append(self, events: pl.DataFrame) -> Bool:
        hashes = stable_hash(events["event_id"].to_list())
        below = [view.known.among(hashes) for view in self.views]
        for view, held in zip(self.views, below, strict=True):  # before any of them can read the rows
            both = events["event_id"].filter(pl.Series(held & ~np.all(below, 0)))
            view.also_below.update(digest(one) for one in both.to_list())
        with self.writing(adding=True) as writing:
            new, above = self._put(writing, events, pending=True)
        for view, held in zip(self.views, below, strict=True):
            if view.heard is not None:
                view.heard(events.filter(pl.Series(above & ~held)))
        return new

    def newer(self) -> Iterator[tuple[bytes, int, int, int]]:
        """All that is above the log by now: the user's digest, the item (0: none the log knows), when it happened and when it was
        received."""
        return self._newer(self.reading())

    def _newer(self, now: Any) -> Iterator[tuple[bytes, int, int, int]]:
        with now as reading:
            for key, value in reading.cursor(self.tables["newer"]):
                if key[-DIGEST:] not in self.also_below:
                    item = self.items.get(value[_HEAD:].decode(), 0)
                    happened_us = struct.unpack(">Q", key[DIGEST : DIGEST + 8])[0] - SIGN
                    yield key[:DIGEST], item, happened_us, struct.unpack(">q", value[:8])[0]

    def close(self) -> None:
        """With the last build the database. Before that, nobody may read this one any more."""
        with self.changing:
            self.views.remove(self)
            if not self.views:
                super().close()
                return
        unneeded = set.intersection(*(view.also_below for view in self.views))
        for rows in self._rows():
            with self.changing, self.writing() as writing:
                for key, _ in rows:
                    if key[-DIGEST:] in unneeded:
                        writing.delete(key, db=self.tables["newer"])
        with self.changing, self.writing() as writing:
            if len(self.views) == 1:
                writing.put(b"tables", (_FORM + self.views[0]._key).encode(), db=self.tables["facts"])

    def history(self, users: Sequence[str], at_us: Int64, newest: int | None = None) -> History:
        numbers = self.numbers(users)
        below = self.log.store.as_of(numbers, at_us, newest)
        above = self._above(users, at_us, newest)
        if not any(above):
            return below
        counts = [len(found) for found in above]
        rows = np.concatenate([below.rows(), np.repeat(np.arange(len(users)), counts)])
        items = np.concatenate([below.items, np.array([item for found in above for item, _ in found], np.int32)])
        times = np.concatenate([below.at_us, np.array([at for found in above for _, at in found], np.int64)])
        order = np.lexsort((self._order_in_step(numbers[rows], items, times), times, rows))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(users)))])
        merged = History(offsets, items[order], times[order])
        return merged if newest is None else merged.newest(newest)

    def _above(self, users: Sequence[str], at_us: Int64, newest: int | None) -> list[list[tuple[int, int]]]:
        """(item, time) of each user, newest first: of the newest at least so many, where there are."""
        with self.reading() as reading:
            return [self._since(reading, user, int(at), newest) for user, at in zip(users, at_us.tolist(), strict=True)]

    def timed(self, now_us: Callable[[], int] | None) -> Moments:
        self.moments = Moments(now_us or (lambda: time.time_ns() // 1000))
        return self.moments

    def numbers(self, users: Sequence[str]) -> Int32:
        known = np.array([self.users.get(user, 0) for user in users], np.int32)
        return np.where(self.erased(users), 0, known).astype(np.int32)

    def seen(self, event_ids: Sequence[str]) -> Bool:
        with self.reading() as reading:
            here = [reading.get(digest(one), db=self.tables["seen"]) is not None for one in event_ids]
        return np.array(here, np.bool_) | self.known.holds(event_ids)

    def pending(self, limit: int = 100_000) -> tuple[list[bytes], pl.DataFrame]:
        """The oldest rows that are in no file yet, with their keys."""
        rows = self.waiting(limit)
        return [key for key, _ in rows], self._frame(value for _, value in rows)

    def _put(self, writing: Any, events: pl.DataFrame, *, pending: bool) -> tuple[Bool, Bool]:
        """Which are new to this build, and which to any. A key-value store takes one row at a time."""
        number = _next(writing, self.tables["facts"])
        rows = events.with_columns(pl.col(TIMES).dt.timestamp("us")).to_dicts()
        hashes = stable_hash(events["event_id"].to_list())
        new = ~self.known.among(hashes)
        above = ~np.all([view.known.among(hashes) for view in self.views], 0)
        for place, row in enumerate(rows):
            if writing.get(digest(row["user_id"]), db=self.tables["erased"]) is not None:
                new[place] = above[place] = False
                continue
            name = digest(row["event_id"])
            fresh = writing.put(name, b"", db=self.tables["seen"], overwrite=False) or not pending
            new[place] &= fresh
            above[place] &= fresh
            if above[place] and (self.positive is None or row["kind"] in self.positive):
                key = digest(row["user_id"]) + packed_time(row["at"]) + name
                head = struct.pack(">qQ", row["received_at"], int(hashes[place]))
                writing.put(key, head + row["item_id"].encode(), db=self.tables["newer"])
            if pending and new[place]:
                self.wait(writing, number, json.dumps(row).encode())
                number += 1
        writing.put(b"next", struct.pack(">Q", number), db=self.tables["facts"])
        return new, above

    def _note_read(self) -> None:
        """Which of the events above this log holds: a build that was just opened is read over what came before it."""
        for rows in self._rows():
            hashes: NDArray[np.uint64] = np.array([struct.unpack(">Q", value[8:_HEAD])[0] for _, value in rows], np.uint64)
            self.also_below.update(rows[place][0][-DIGEST:] for place in np.flatnonzero(self.known.among(hashes)).tolist())

    def _lacking(self, hashes: NDArray[np.uint64]) -> Bool:
        """What this log lacks and those of all others open hold."""
        others = [view.known.among(hashes) for view in self.views if view is not self]
        lacking: Bool = np.all(others, 0) & ~self.known.among(hashes)
        return lacking

    def _rows(self) -> Iterator[list[tuple[bytes, bytes]]]:
        """The upper layer, so many rows at a time."""
        with self.reading() as reading:
            cursor = iter(reading.cursor(self.tables["newer"]))
            while rows := list(islice(cursor, _AT_ONCE)):
                yield rows

    def _since(self, reading: Any, user: str, at_us: int, newest: int | None) -> list[tuple[int, int]]:
        """(item, time) of the upper layer, newest first."""
        prefix = digest(user)
        found: list[tuple[int, int]] = []
        cursor = reading.cursor(self.tables["newer"])
        inside = cursor.set_range(prefix + packed_time(at_us))
        inside = cursor.prev() if inside else cursor.last()
        while inside and cursor.key().startswith(prefix):
            key, value = cursor.item()
            happened_us = struct.unpack(">Q", key[DIGEST : DIGEST + 8])[0] - SIGN
            if newest is not None and len(found) >= newest and happened_us < found[-1][1]:
                break  # a step is read whole: which of it are the newest is not said by the keys
            item = self.items.get(value[_HEAD:].decode())
            if item is not None and struct.unpack(">q", value[:8])[0] < at_us and key[-DIGEST:] not in self.also_below:
                found.append((item, happened_us))
            inside = cursor.prev()
        return found

    def _order_in_step(self, users: Int32, items: Int32, at_us: Int64) -> Any:
        """As the history store orders a user's events at one moment, so that both layers agree."""
        draws = np.full(len(users), seed_of(self.log.seed, "order inside a step"), np.uint64)
        for part in (users, items, at_us):
            draws = mix(draws, part.astype(np.uint64))
        return draws

    def _frame(self, rows: Iterator[bytes]) -> pl.DataFrame:
        times: Mapping[str, Any] = dict.fromkeys(TIMES, pl.Int64)
        found = pl.DataFrame([json.loads(row) for row in rows], schema={**EVENTS.schema(), **times}, orient="row")
        return found.cast(dict(EVENTS.schema()))  # type: ignore[arg-type]


def packed_time(at_us: int) -> bytes:
    return struct.pack(">Q", at_us + SIGN)


def _next(reading: Any, facts: Any) -> int:
    """Numbers go on where they stopped: a file is named by its first one."""
    found = reading.get(b"next", db=facts)
    return struct.unpack(">Q", found)[0] if found else 0
