"""What was said of items, in one Redis for several servers, and a copy in each server's own database.

    items      digest of the id -> the item as it stands       changed      number of the last change
    changes    the last 100,000 digests, in order              item_rows    a stream of rows, until they are in a file

A put reads what stands there and says what becomes of it; Redis takes that if it still stands, in one step, and else it is worked
out again. So whoever is told that an item is gone is told the truth of every server that reaches Redis.

While Redis is away nothing is put, and what was last known goes on to hold (`behind`, which pages say). The copy is for a Redis
that lost what it held, and for items from the time before it: what this server alone knows, or knows of later, is put back when
it reads all of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from headrace.serve.catalogue.kept import ROWS_A_FILE, Catalogue, Change, Kept, Step, kept_of, packed
from headrace.serve.state.database import Full, digest
from headrace.serve.state.redis_rows import RowsWaiting
from headrace.serve.state.redis_scripts import CHANGE, CHANGED, CHANGES, ITEM_ROWS, ITEMS, SINCE
from headrace.serve.state.redis_server import Unavailable
from headrace.serve.state.redis_state import RedisState

_AT_ONCE = 1000


class RedisCatalogue(Catalogue):
    """Cost: a put takes two round trips, a look at the changes one."""

    def __init__(self, state: RedisState, schema: pl.Schema):
        super().__init__(state, schema)
        self.server, self.looks, self.rows = state.server, state.looks, RowsWaiting(state, state.lease, ITEM_ROWS, "items")
        self._change_script: Any = self.server.client.register_script(CHANGE)
        self._since_script: Any = self.server.client.register_script(SINCE)

    def get(self, item_id: str) -> Kept | None:
        try:
            found = self.server.ask(lambda redis: redis.hget(ITEMS, digest(item_id)))
        except Unavailable:
            return super().get(item_id)
        return None if found is None else kept_of(found)

    @property
    def stamp(self) -> int:
        return int(self.server.ask(lambda redis: redis.get(CHANGED)) or 0)

    def since(self, stamp: int) -> tuple[int, list[Kept]]:
        look = self.looks.mine
        if look is not None and look.changed == stamp:
            self.behind = False
            return stamp, []
        try:
            number, whole, *rest = self.server.ask(lambda _: self._since_script([ITEMS, CHANGES, CHANGED], [stamp]))
            found = self._all() if whole else [kept_of(value) for value in (rest[0] if rest else [])]
        except Unavailable:
            if stamp < 0:  # who starts must know what is gone
                raise
            self.behind = True
            return stamp, []
        self.behind = False
        if whole:
            found += self._put_back(found)
        self._copy(found)
        return int(number), found

    def _changed(self, steps: Sequence[Step], *, adding: bool = True) -> list[bool]:
        names = {item_id: digest(item_id) for item_id, _ in steps}
        while True:
            before = self.server.ask(lambda redis: redis.hmget(ITEMS, list(names.values())))
            held = {item_id: value and kept_of(value) for item_id, value in zip(names, before, strict=True)}
            told, args = list[bool](), list[Any]()
            for item_id, step in steps:
                change = step(held[item_id])
                told.append(change is not None)
                if change is not None:
                    held[item_id] = change.kept
                    args += [names[item_id], packed(change.kept), packed(change.row) if change.row else b""]
            looked = [part for pair in zip(names.values(), before, strict=True) for part in (pair[0], pair[1] or b"")]
            if not args or self._took([len(names), *looked, *args]):
                return told

    def _all(self) -> list[Kept]:
        """So many at a time that nobody else waits long. One that changes meanwhile is read again with the next changes."""
        found, place = dict[bytes, bytes](), 0
        while True:
            place, some = self._after(place)
            found |= some
            if place == 0:
                return [kept_of(value) for value in found.values()]

    def _after(self, place: int) -> tuple[int, dict[bytes, bytes]]:
        found: tuple[int, dict[bytes, bytes]] = self.server.ask(lambda redis: redis.hscan(ITEMS, place, count=_AT_ONCE))
        return found

    def _took(self, args: Sequence[Any]) -> bool:
        """Whether all still stood as it was read."""
        return bool(self.server.ask(lambda _: self._change_script([ITEMS, CHANGES, CHANGED, ITEM_ROWS], args)))

    def _put_back(self, known: Sequence[Kept]) -> list[Kept]:
        """What this server's copy knows beyond what Redis holds."""
        at_us = {one.item_id: one.at_us for one in known}
        with self.database.reading() as reading:
            copy = [kept_of(value) for _, value in reading.cursor(self.database.tables["items"])]
        lost = [one for one in copy if at_us.get(one.item_id, -1) < one.at_us]

        def step(kept: Kept) -> Step:
            return kept.item_id, lambda now: Change(kept, None) if now is None or now.at_us < kept.at_us else None

        told = self._changed([step(kept) for kept in lost]) if lost else []
        return [kept for kept, taken in zip(lost, told, strict=True) if taken]

    def _copy(self, found: Sequence[Kept]) -> None:
        if not found:
            return
        try:
            with self.database.writing(adding=True) as writing:
                for kept in found:
                    before = self._get(writing, kept.item_id)
                    if before is None or before.at_us < kept.at_us:
                        writing.put(digest(kept.item_id), packed(kept), db=self.database.tables["items"])
        except Full:
            pass  # Redis has them, and the next start copies them

    def _settle(self, folder: Path) -> None:
        self.rows.settle(folder)

    def _waiting(self) -> list[tuple[bytes, bytes]]:
        keys, rows = self.rows.oldest(ROWS_A_FILE)
        return [(key, fields[b"row"]) for key, fields in zip(keys, rows, strict=True)]

    def _agreed(self, keys: Sequence[bytes]) -> bool:
        return self.rows.leave(keys)

    def _written(self, keys: Sequence[bytes]) -> None:
        self.rows.left(keys)
