"""What the server knows of a user at this moment: the build's history store below, what came in since above it, in LMDB.

The store is memory-mapped or already in memory, so a server starts at once whatever the log's size; only what is newer is written
here (`upper`). Rows carry ids, not numbers, so the next generation reads them with its own vocabulary.

Several builds may be open at once over one upper layer, in one process (`beside`) or in several (`builds`). An event is above as
long as the log of one of them lacks it, and each leaves out, as it reads, what its own log holds, by the hashes of events' ids.
When a build is closed for good, what all that stay open have read is taken out.

Cost of a history: O(log events + events read), and one look among the log's hashes where something is above.
A user who was erased has no history in either layer and no number, and nothing of theirs is taken in any more: what the build
below still holds of them is not looked at.
"""

import copy
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.requests import Bool, History, Int32, Int64
from headrace.contracts.rng import mix, seed_of, stable_hash
from headrace.contracts.tables import EVENTS, TIME
from headrace.data.log import Log
from headrace.serve.state.builds import Builds
from headrace.serve.state.database import DIGEST, Database, digest
from headrace.serve.state.moments import Moments
from headrace.serve.state.together import Together
from headrace.serve.state.upper import Rows, UpperLayer, pair_of

TIMES = ("at", "received_at")
_TAKEN = ("user_id", "item_id", "event_id", "kind", *TIMES)
_AT_ONCE = 10_000
Arrival = tuple[bytes, int, int, int]
"""The user's digest, the item (0: none the log knows), when it happened and when it was received."""


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
    """An `OnlineState` over a log. folder: an existing one. key: of the tables the log was read from. sole: for the only process
    of the run; others open it beside the one that holds the run.

    Positive events of known items become history; all become pending rows for the event log, until `written`. stale: the upper
    layer may lack what neither log nor another open build holds: `rebuild` it.
    """

    def __init__(self, folder: Path, log: Log, key: str, *, map_gb: float = 16.0, sole: bool = True):
        super().__init__(folder, map_gb, sole=sole)
        self.forget_process(os.getpid())  # of one that died and had this one's number
        self.folder, self.upper, self.builds = folder, UpperLayer(self.tables), Builds(self, folder)
        self.views: list[LayeredState] = []
        self.moments = self._moments(None)
        self._over(log, key)

    def beside(self, log: Log, key: str) -> "LayeredState":
        """Another build over the same upper layer, in this process; closed for itself."""
        mine = copy.copy(self)
        mine._over(log, key)
        return mine

    def _over(self, log: Log, key: str) -> None:
        self.log, self._key = log, key
        self.known = self.builds.known(key, log.tables)
        self.users = dict(zip(log.users.ids.to_list(), range(1, len(log.users)), strict=True))
        self.items = dict(zip(log.items.ids.to_list(), range(1, len(log.items)), strict=True))
        self.positive = {name for name, kind in log.kinds.items() if kind.polarity == "positive"} if log.kinds else None
        self._together = Together(self._receive_all)
        self._row, whole = self.builds.opened(key)
        self.stale = not whole
        self.views.append(self)

    def rebuild(self, served: Iterable[pl.DataFrame]) -> None:
        """Of all that was ever served, what this log lacks is above from here on.

        What a whole build lacks too is there already; so beside one, only what all of those hold is put back.
        """
        waits = self._frame(row for _, row in self.waiting(2**62))
        for events in _in_lots(chain([waits], served)):  # in this order: what waits may be in a file by the time these are read
            lacking = events.filter(pl.Series(~self.known.holds(events["event_id"].to_list()), dtype=pl.Boolean))
            with self.writing() as writing:
                self._put_back(writing, lacking)
        self.builds.made_whole(self._key)
        self.stale = False

    def append(self, events: pl.DataFrame) -> Bool:
        return self._append(events)

    def receive(self, events: pl.DataFrame) -> Bool:
        """As `append`, received now, whatever they say. Those of callers that come at once are one commit."""
        return self._together(events)

    def _receive_all(self, held: Sequence[pl.DataFrame]) -> list[Bool]:
        with self.moments.received() as now_us:
            received = pl.lit(now_us, pl.Int64).cast(TIME)
            new = self._append(pl.concat(held).with_columns(received_at=received))
        return np.split(new, np.cumsum([len(events) for events in held])[:-1])

    def _append(self, events: pl.DataFrame) -> Bool:
        """Which are new to this build. A key-value store takes one row at a time."""
        rows, hashes = _rows(events), _hashes(events)
        new = ~self.known.among(hashes)
        with self.writing(adding=True) as writing:
            above = new | ~self.builds.all_hold(writing, hashes)
            number = _next(writing, self.tables["facts"])
            for place, row in enumerate(rows):
                fresh = not self._erased(writing, row) and self._first(writing, row)
                new[place] &= fresh
                if fresh and above[place]:
                    self._put(writing, row, int(hashes[place]), told=True)
                if new[place]:
                    self.wait(writing, number, json.dumps(row).encode())
                    number += 1
            writing.put(b"next", struct.pack(">Q", number), db=self.tables["facts"])
        return new

    def _put_back(self, writing: Any, events: pl.DataFrame) -> None:
        """Nobody who follows is told: those they read are there, and others read from the start."""
        hashes = _hashes(events)
        back = self.builds.all_whole_hold(writing, hashes)
        for row, hashed in zip(_rows(events.filter(pl.Series(back, dtype=pl.Boolean))), hashes[back].tolist(), strict=True):
            if not self._erased(writing, row):
                self._first(writing, row)
                self._put(writing, row, hashed, told=False)

    def _put(self, writing: Any, row: Mapping[str, Any], hashed: int, *, told: bool) -> None:
        if self.positive is None or row["kind"] in self.positive:
            self.upper.put(writing, pair_of(row, hashed), told=told)

    def _erased(self, writing: Any, row: Mapping[str, Any]) -> bool:
        return writing.get(digest(row["user_id"]), db=self.tables["erased"]) is not None

    def _first(self, writing: Any, row: Mapping[str, Any]) -> bool:
        """Whether it was never taken in; from here on it was."""
        return bool(writing.put(digest(row["event_id"]), b"", db=self.tables["seen"], overwrite=False))

    @property
    def arrived(self) -> int:
        """How many events came in above so far, in whatever process. It costs a look-up."""
        with self.reading() as reading:
            return self.upper.arrived(reading)

    def newer(self, since: int | None = None) -> tuple[int, Iterator[Arrival] | None]:
        """How many came in so far, and those of them above this log: all that are there, or those after the first `since`.

        None: so many came since that they are not kept in order. All have to be read.
        """
        reading = self.reading()
        lots = self.upper.all(reading) if since is None else self.upper.since(reading, since)
        return self.upper.arrived(reading), None if lots is None else self._newer(reading, lots)

    def _newer(self, now: Any, lots: Iterable[Rows]) -> Iterator[Arrival]:
        with now:
            for rows in lots:
                below = self.known.among(rows.hashes).tolist()
                for key, item, at, received, held in zip(rows.keys, rows.items, rows.at_us, rows.received_us, below, strict=True):
                    if not held:
                        yield key[:DIGEST], self.items.get(item.decode(), 0), at, received

    def close(self) -> None:
        """With the last of this process' builds the database. Before that, nobody may read this one any more."""
        self.views.remove(self)
        if self.builds.closed(self._row, self._key):
            self._prune()
        if not self.views:
            self.moments.close()
            super().close()

    def _prune(self) -> None:
        """A build that is opened meanwhile is seen by the next lot; what it lacks of the ones before, it puts back."""
        with self.reading() as reading:
            for rows in self.upper.all(reading):
                with self.writing() as writing:
                    for place in np.flatnonzero(self.builds.all_hold(writing, rows.hashes)).tolist():
                        self.upper.delete(writing, rows.keys[place])

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
            return self.upper.newest(reading, list(zip(users, at_us.tolist(), strict=True)), newest, self._items_above)

    def _items_above(self, rows: Rows) -> list[int]:
        """0: an item that this log does not know, or an event that it holds."""
        below = self.known.among(rows.hashes).tolist()
        return [0 if held else self.items.get(item.decode(), 0) for item, held in zip(rows.items, below, strict=True)]

    def timed(self, now_us: Callable[[], int] | None) -> Moments:
        """By another clock; the system's if None."""
        self.moments.close()
        self.moments = self._moments(now_us)
        return self.moments

    def _moments(self, now_us: Callable[[], int] | None) -> Moments:
        return Moments(self.folder, now_us)

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


def _rows(events: pl.DataFrame) -> list[dict[str, Any]]:
    return events.with_columns(pl.col(TIMES).dt.timestamp("us")).to_dicts()


def _hashes(events: pl.DataFrame) -> NDArray[np.uint64]:
    return stable_hash(events["event_id"].to_list())


def _in_lots(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """So many rows at a time, whatever the frames hold, of the columns that a history takes."""
    lot: list[pl.DataFrame] = []
    for some in chain.from_iterable(frame.select(_TAKEN).iter_slices(_AT_ONCE) for frame in frames):
        lot.append(some)
        if sum(map(len, lot)) >= _AT_ONCE:
            yield pl.concat(lot)
            lot = []
    if lot:
        yield pl.concat(lot)


def _next(reading: Any, facts: Any) -> int:
    """Numbers go on where they stopped: a file is named by its first one."""
    found = reading.get(b"next", db=facts)
    return struct.unpack(">Q", found)[0] if found else 0
