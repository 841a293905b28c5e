"""What the server knows of a user at this moment: the build's history store below, what came in since above it, in LMDB.

The store is memory-mapped or already in memory, so a server starts at once whatever the log's size; only what is newer is written
here. Rows carry ids, not numbers, so the next generation reads them with its own vocabulary; when a generation was built from a
log that holds them, they are taken out of the upper layer (`rebuild`).

    key = digest of the user, time, digest of the event      value = when it was received, item id

Keys sort by user and time, so the newest events before a moment are one seek and a walk back. Cost O(log events + events read).
A user who was erased has no history in either layer and no number, and nothing of theirs is taken in any more: what the build
below still holds of them is not looked at.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl

from headrace.contracts.requests import Bool, History, Int32, Int64
from headrace.contracts.rng import mix, seed_of
from headrace.contracts.tables import EVENTS
from headrace.data.log import Log
from headrace.serve.database import DIGEST, Database, digest
from headrace.serve.known import KnownEvents

_SIGN = 1 << 63  # so that times before 1970 sort before those after
_TIMES = ("at", "received_at")


@runtime_checkable
class OnlineState(Protocol):
    """events: rows of the contract's table, each with event_id and received_at."""

    def append(self, events: pl.DataFrame) -> Bool:
        """Which were new and are kept; one whose id is known is left as it is."""

    def history(self, users: Sequence[str], at_us: Int64, newest: int | None = None) -> History:
        """Events strictly before each moment that had also been received by then."""

    def seen(self, event_ids: Sequence[str]) -> Bool: ...
    def erased(self, users: Sequence[str]) -> Bool: ...
    def forget(self, user_id: str) -> int:
        """Rows removed."""


class LayeredState(Database):
    """An `OnlineState` over a log. folder: an existing one. key: of the tables the log was read from.

    Positive events of known items become history; all become pending rows for the event log, until `written`. heard: told of the
    events that were kept.
    """

    def __init__(self, folder: Path, log: Log, key: str, *, map_gb: float = 16.0):
        super().__init__(folder, map_gb, sole=True)
        self.log = log
        self.known = KnownEvents.of(log.tables, folder / f"known-{key}.npy")
        self.users = dict(zip(log.users.ids.to_list(), range(1, len(log.users)), strict=True))
        self.items = dict(zip(log.items.ids.to_list(), range(1, len(log.items)), strict=True))
        self.positive = {name for name, kind in log.kinds.items() if kind.polarity == "positive"} if log.kinds else None
        with self.reading() as reading:
            found = reading.get(b"tables", db=self.tables["facts"])
        self.stale = found != key.encode()
        self._key = key
        self.heard: Callable[[pl.DataFrame], None] | None = None

    def rebuild(self, served: Iterable[pl.DataFrame]) -> None:
        """Another build's tables are below now: the upper layer anew, from all that was ever served less what they hold."""
        with self.writing() as writing:
            writing.drop(self.tables["newer"], delete=False)
            for events in served:
                self._put(writing, events, pending=False)
            self._put(writing, self._frame(value for _, value in writing.cursor(self.tables["pending"])), pending=False)
            writing.put(b"tables", self._key.encode(), db=self.tables["facts"])
        self.stale = False

    def append(self, events: pl.DataFrame) -> Bool:
        with self.writing() as writing:
            new = self._put(writing, events, pending=True)
        if self.heard is not None:
            self.heard(events.filter(new))
        return new

    def newer(self) -> Iterator[tuple[bytes, int, int, int]]:
        """All that is above the log: the user's digest, the item, when it happened and when it was received."""
        with self.reading() as reading:
            for key, value in reading.cursor(self.tables["newer"]):
                item = self.items.get(value[8:].decode())
                if item is not None:
                    happened_us = struct.unpack(">Q", key[DIGEST : DIGEST + 8])[0] - _SIGN
                    yield key[:DIGEST], item, happened_us, struct.unpack(">q", value[:8])[0]

    def history(self, users: Sequence[str], at_us: Int64, newest: int | None = None) -> History:
        numbers = self.numbers(users)
        below = self.log.store.as_of(numbers, at_us, newest)
        with self.reading() as reading:
            above = [self._since(reading, user, int(at), newest) for user, at in zip(users, at_us.tolist(), strict=True)]
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

    def _put(self, writing: Any, events: pl.DataFrame, *, pending: bool) -> Bool:
        """A key-value store takes one row at a time."""
        number = _next(writing, self.tables["facts"])
        rows = events.with_columns(pl.col(_TIMES).dt.timestamp("us")).to_dicts()
        new = ~self.known.holds(events["event_id"].to_list())
        for place, row in enumerate(rows):
            if writing.get(digest(row["user_id"]), db=self.tables["erased"]) is not None:
                new[place] = False
                continue
            name = digest(row["event_id"])
            fresh = writing.put(name, b"", db=self.tables["seen"], overwrite=False)
            new[place] &= fresh or not pending
            if not new[place]:
                continue
            if self.positive is None or row["kind"] in self.positive:
                key = digest(row["user_id"]) + _time(row["at"]) + name
                writing.put(key, struct.pack(">q", row["received_at"]) + row["item_id"].encode(), db=self.tables["newer"])
            if pending:
                writing.put(struct.pack(">Q", number), json.dumps(row).encode(), db=self.tables["pending"])
                number += 1
        writing.put(b"next", struct.pack(">Q", number), db=self.tables["facts"])
        return new

    def _since(self, reading: Any, user: str, at_us: int, newest: int | None) -> list[tuple[int, int]]:
        """(item, time) of the upper layer, newest first."""
        prefix = digest(user)
        found: list[tuple[int, int]] = []
        cursor = reading.cursor(self.tables["newer"])
        inside = cursor.set_range(prefix + _time(at_us))
        inside = cursor.prev() if inside else cursor.last()
        while inside and cursor.key().startswith(prefix):
            key, value = cursor.item()
            happened_us = struct.unpack(">Q", key[DIGEST : DIGEST + 8])[0] - _SIGN
            if newest is not None and len(found) >= newest and happened_us < found[-1][1]:
                break  # a step is read whole: which of it are the newest is not said by the keys
            item = self.items.get(value[8:].decode())
            if item is not None and struct.unpack(">q", value[:8])[0] < at_us:
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
        times: Mapping[str, Any] = dict.fromkeys(_TIMES, pl.Int64)
        found = pl.DataFrame([json.loads(row) for row in rows], schema={**EVENTS.schema(), **times}, orient="row")
        return found.cast(dict(EVENTS.schema()))  # type: ignore[arg-type]


def _time(at_us: int) -> bytes:
    return struct.pack(">Q", at_us + _SIGN)


def _next(reading: Any, facts: Any) -> int:
    """Numbers go on where they stopped: a file is named by its first one."""
    found = reading.get(b"next", db=facts)
    return struct.unpack(">Q", found)[0] if found else 0
