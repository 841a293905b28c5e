"""The builds that are open over one upper layer, in whichever process, and what their logs hold.

All of it is judged inside the transaction that goes by it, so whoever opens or closes one meanwhile comes before or after. What
is open elsewhere is known by its file of hashes. A process that died has its rows until it is forgotten
(`Database.forget_process`); meanwhile more is kept above than is needed, which is never wrong.
"""

import os
from collections.abc import Collection
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Bool
from headrace.serve.state.database import Database
from headrace.serve.state.known import KnownEvents
from headrace.serve.state.whole import ROW, keep_whole, keys_open, keys_whole, put_whole


class Builds:
    """folder: of the files of hashes."""

    def __init__(self, database: Database, folder: Path):
        self._database, self._folder, self._numbers = database, folder, count()
        self._known: dict[str, KnownEvents] = {}

    def known(self, key: str, tables: Path | None = None) -> KnownEvents:
        """What the build's log holds. tables: of a build whose file may not be there yet."""
        if key not in self._known:
            path = self._folder / f"known-{key}.npy"
            self._known[key] = KnownEvents.at(path) if tables is None else KnownEvents.of(tables, path)
        return self._known[key]

    def opened(self, key: str) -> tuple[bytes, bool]:
        """Its row, and whether it is whole. Alone, one that is not has nothing of use above it."""
        row, tables = ROW.pack(os.getpid(), next(self._numbers)), self._database.tables
        with self._database.writing() as writing:
            alone, readable = not keys_open(writing, tables), keys_whole(writing, tables) is not None
            writing.put(row, key.encode(), db=tables["open"])
            whole = keep_whole(writing, tables)
            if not readable or (alone and not whole):
                writing.drop(tables["newer"], delete=False)
                writing.drop(tables["arrived"], delete=False)
        return row, key in whole

    def closed(self, row: bytes, key: str) -> bool:
        """Whether there are others and none of them has these tables: something may be above for nobody from here on."""
        with self._database.writing() as writing:
            writing.delete(row, db=self._database.tables["open"])
            keep_whole(writing, self._database.tables)
            left = keys_open(writing, self._database.tables)
        self._known = {one: known for one, known in self._known.items() if one in left}
        return bool(left) and key not in left

    def made_whole(self, key: str) -> None:
        with self._database.writing() as writing:
            put_whole(writing, self._database.tables, {key, *(keys_whole(writing, self._database.tables) or ())})

    def all_hold(self, reading: Any, hashes: NDArray[np.uint64]) -> Bool:
        """Which of the events the log of every open build holds."""
        found = set(keys_open(reading, self._database.tables))
        return self._held(found, hashes) if found else np.zeros(len(hashes), np.bool_)

    def all_whole_hold(self, reading: Any, hashes: NDArray[np.uint64]) -> Bool:
        """Which are above for none of the builds that are whole."""
        return self._held(keys_whole(reading, self._database.tables) or (), hashes)

    def _held(self, keys: Collection[str], hashes: NDArray[np.uint64]) -> Bool:
        held = np.ones(len(hashes), np.bool_)
        for key in keys:
            held &= self.known(key).among(hashes)
        return held
