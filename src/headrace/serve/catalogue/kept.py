"""What was said of items while serving: put, changed, withdrawn, deleted. It outlives generations and is every process's.

    items      digest of the id -> the item as it stands: its row, since when, and when it could be shown and when not
    changes    number -> digest: which items changed, in order, so that a process follows what another took in
    item_rows  number -> the row as of then, until it is in a file (`write_items`)

Each put is one transaction. Whoever asks for changes after it is acknowledged gets them, in any process: a look at one counter
where there are none. What is put stands above the build's row until it is put again. A deleted item is kept as deleted, also one
that no generation knows: the next may.
"""

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from headrace.serve.logs.files import alone, file_name, write_by_day
from headrace.serve.state.database import Database, digest

Row = dict[str, Any]
_NEXT = b"next change"
_CHANGES = 100_000
"""Kept; a process that lags behind further reads all items anew."""
_MOVES = 100
"""Of an item, how many times of coming and going are kept: an answer of long before them is not worked out again as it was."""
_WORDS, _WORDINGS = ("title", "text", "categories"), 8
"""Of what an item said of itself as many wordings are kept, for the same reason."""
ROWS_A_FILE = 50_000


@dataclass(frozen=True)
class Kept:
    """row: the contract's columns and further ones, whole; empty of a deleted item. at_us: since when. moves: (when, whether it
    may be shown from then on), oldest first; one at least, since of it another generation's build may say otherwise, or nothing.
    was: (until when, what it said of itself in words), oldest first."""

    item_id: str
    row: Row
    at_us: int
    deleted: bool
    moves: tuple[tuple[int, bool], ...]
    was: tuple[tuple[int, Row], ...] = ()

    @property
    def shown(self) -> bool:
        return not self.deleted and bool(self.row["available"])

    def shown_at(self, at_us: int) -> bool | None:
        """None: nothing had been said of it by then."""
        return next((shown for moved_us, shown in reversed(self.moves) if moved_us < at_us), None)

    def words_at(self, at_us: int) -> Row:
        """Title, text and categories; the row has them too."""
        return next((words for until_us, words in self.was if at_us <= until_us), self.row)

    def said_until(self, at_us: int, row: Row) -> tuple[tuple[int, Row], ...]:
        """What it was, once it is this row."""
        words, now = ({name: of.get(name) for name in _WORDS} for of in (self.row, row))
        return self.was if words == now or self.deleted else (*self.was, (at_us, words))[-_WORDINGS:]


@dataclass(frozen=True)
class Change:
    """row: of the contract's table, to be written into a file; None where there is nothing to say."""

    kept: Kept
    row: Row | None


Step = tuple[str, Callable[[Kept | None], Change | None]]
"""An item, and what becomes of it as it stands; None: it stays as it is."""


class Catalogue:
    """database: where the online state is. schema: of the item rows written, the newest generation's. behind: what changed could
    not be asked when it was asked for last."""

    behind = False

    def __init__(self, database: Database, schema: pl.Schema):
        self.database, self.schema = database, schema

    def put(self, sent: Sequence[Row], below: Mapping[str, Row], at_us: int) -> list[bool]:
        """Which changed anything. sent: columns by name, with item_id; those that are not sent stay as they were. below: the
        build's rows of these items."""

        def step(row: Row) -> Step:
            return row["item_id"], lambda before: self._as_put(before, row, below.get(row["item_id"]), at_us)

        return self._changed([step(row) for row in sent])

    def delete(self, item_id: str, below: Row | None, at_us: int) -> bool:
        """Whether it was there: False for one that was deleted before."""
        return self._changed([(item_id, lambda before: _as_deleted(before, item_id, below, at_us))], adding=False)[0]

    def get(self, item_id: str) -> Kept | None:
        with self.database.reading() as reading:
            return self._get(reading, item_id)

    @property
    def stamp(self) -> int:
        """Changes so far, by this process or another."""
        with self.database.reading() as reading:
            return self._next(reading)

    def since(self, stamp: int) -> tuple[int, list[Kept]]:
        """The stamp now, and the items that changed after the one given. stamp -1: all that were ever put."""
        items, changes = self.database.tables["items"], self.database.tables["changes"]
        with self.database.reading() as reading:
            now = self._next(reading)
            if now == stamp:
                return now, []
            cursor = reading.cursor(changes)
            first = struct.unpack(">Q", cursor.key())[0] if cursor.first() else now
            if stamp < first:
                return now, [kept_of(value) for _, value in reading.cursor(items)]
            cursor.set_range(struct.pack(">Q", stamp))
            names = dict.fromkeys(value for _, value in cursor)
            return now, [kept_of(reading.get(name, db=items)) for name in names]

    def write_items(self, root: Path) -> int:
        """Rows that wait, into files of the contract's table: items/DAY/NUMBER.parquet. Rows written.

        A file that was written when the process died is written again under the same name."""
        done = 0
        with alone(root):
            self._settle(root / "items")
            while True:
                waiting = self._waiting()
                if not waiting:
                    return done
                rows = _frame([json.loads(value) for _, value in waiting], self.schema)
                keys = [key for key, _ in waiting]
                if write_by_day(root / "items", rows, "valid_from", file_name(keys[0]), partial(self._agreed, keys)):
                    self._written(keys)
                    done += len(keys)

    def _settle(self, folder: Path) -> None:
        """As the state does of its own rows."""
        self.database.settle(folder)

    def _agreed(self, keys: Sequence[bytes]) -> bool:
        return True

    def _waiting(self) -> list[tuple[bytes, bytes]]:
        """Of the rows that are in no file the oldest, by number."""
        with self.database.reading() as reading:
            return list(islice(reading.cursor(self.database.tables["item_rows"]), ROWS_A_FILE))

    def _written(self, keys: Sequence[bytes]) -> None:
        with self.database.writing() as writing:
            for key in keys:
                writing.delete(key, db=self.database.tables["item_rows"])
        self.database.sync()

    def _changed(self, steps: Sequence[Step], *, adding: bool = True) -> list[bool]:
        """All of them or none, one after the other. Which changed anything."""
        with self.database.writing(adding=adding) as writing:
            changes = [self._change(writing, item_id, step) for item_id, step in steps]
            self._prune(writing)
        return changes

    def _change(self, writing: Any, item_id: str, step: Callable[[Kept | None], Change | None]) -> bool:
        change = step(self._get(writing, item_id))
        if change is None:
            return False
        if change.row is not None:
            self._log(writing, change.row)
        self._keep(writing, change.kept)
        return True

    def _as_put(self, before: Kept | None, sent: Row, below: Row | None, at_us: int) -> Change | None:
        blank = dict.fromkeys(name for name in self.schema if name != "valid_from") | {"available": True}
        old = below if before is None else None if before.deleted else before.row
        row = {**blank, **(old or {}), **sent}
        if row == old:
            return None
        at_us = at_us if before is None else max(at_us, before.at_us + 1)
        was = () if before is None else before.said_until(at_us, row)
        moves = _moved(before, at_us, row["available"])
        return Change(Kept(sent["item_id"], row, at_us, False, moves, was), {**row, "valid_from": at_us})

    def _get(self, reading: Any, item_id: str) -> Kept | None:
        found = reading.get(digest(item_id), db=self.database.tables["items"])
        return None if found is None else kept_of(found)

    def _keep(self, writing: Any, kept: Kept) -> None:
        name, number = digest(kept.item_id), self._next(writing)
        writing.put(name, packed(kept), db=self.database.tables["items"])
        writing.put(struct.pack(">Q", number), name, db=self.database.tables["changes"])
        writing.put(_NEXT, struct.pack(">Q", number + 1), db=self.database.tables["facts"])

    def _log(self, writing: Any, row: Row) -> None:
        """Numbered as the change is, so that a file's name never comes again."""
        writing.put(struct.pack(">Q", self._next(writing)), packed(row), db=self.database.tables["item_rows"])

    def _next(self, reading: Any) -> int:
        found = reading.get(_NEXT, db=self.database.tables["facts"])
        return struct.unpack(">Q", found)[0] if found else 0

    def _prune(self, writing: Any) -> None:
        cursor, last = writing.cursor(self.database.tables["changes"]), self._next(writing) - _CHANGES
        while last > 0 and cursor.first() and struct.unpack(">Q", cursor.key())[0] < last:
            cursor.delete()


def _as_deleted(before: Kept | None, item_id: str, below: Row | None, at_us: int) -> Change | None:
    if before is not None and before.deleted:
        return None
    row = below if before is None else before.row
    at_us = at_us if before is None else max(at_us, before.at_us + 1)
    was = () if before is None else before.said_until(at_us, {})
    kept = Kept(item_id, {}, at_us, True, _moved(before, at_us, False), was)
    return Change(kept, None if row is None else {**row, "available": False, "valid_from": at_us})


def _moved(before: Kept | None, at_us: int, shown: bool) -> tuple[tuple[int, bool], ...]:
    """Moves of an item that may be shown from this moment on, or may not."""
    moves = () if before is None else before.moves
    return moves if before is not None and before.shown == shown else (*moves, (at_us, shown))[-_MOVES:]


def packed(said: Kept | Row) -> bytes:
    return json.dumps(vars(said) if isinstance(said, Kept) else said).encode()


def kept_of(value: bytes) -> Kept:
    found = json.loads(value)
    kept = Kept(**found | {name: tuple(map(tuple, found.get(name, ()))) for name in ("moves", "was")})
    # as an earlier version kept an item that came and went with its build alone
    return kept if kept.moves else replace(kept, moves=((kept.at_us, kept.shown),))


def _frame(rows: Sequence[Row], schema: pl.Schema) -> pl.DataFrame:
    """Of this schema, whatever columns and types the rows were put with: files of one folder have to be read as one table. A row
    may have waited for a file while a generation came whose column is of another type: what that can't hold is empty."""
    held = {name: pl.Int64() if dtype.is_temporal() else dtype for name, dtype in schema.items()}
    found = pl.DataFrame(
        [pl.Series(name, [row.get(name) for row in rows], dtype, strict=False) for name, dtype in held.items()]
    )  # fmt: skip
    return found.cast({name: dtype for name, dtype in schema.items() if dtype.is_temporal()}, strict=False)
