"""The upper layer's rows: what came in above the builds' logs, by user and time, and in the order in which it came.

    newer     digest of the user, time, digest of the event -> when it was received, hash of the event's id, item id
    arrived   number -> key of the row; the last 100,000

Keys sort by user and time, so the newest events before a moment are one seek and a walk back. A process that follows what all
take in looks at one counter, and reads on from where it was.
"""

import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.serve.state.database import DIGEST, digest

SIGN = 1 << 63  # so that times before 1970 sort before those after
ARRIVALS = 100_000
"""Kept; who lags behind further reads all of `newer` anew."""
_AT_ONCE = 10_000
_TIME, _HEAD, _RECEIVED, _NUMBER = (struct.Struct(form) for form in (">Q", ">qQ", ">q", ">Q"))
_ARRIVED, _WHEN = b"arrived", slice(DIGEST, DIGEST + 8)
_HASH = slice(8, 16)  # of a value
Pair = tuple[bytes, bytes]
"""A row as it lies there: its key and its value."""


@dataclass(frozen=True)
class Rows:
    """As columns. hashes: of the events' ids, as builds know theirs. items: ids."""

    keys: list[bytes]
    at_us: list[int]
    received_us: list[int]
    hashes: NDArray[np.uint64]
    items: list[bytes]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> "Rows":
        """A request has few: they cost less than arrays do."""
        return cls(
            [key for key, _ in pairs],
            [_TIME.unpack_from(key, DIGEST)[0] - SIGN for key, _ in pairs],
            [_RECEIVED.unpack_from(value)[0] for _, value in pairs],
            np.frombuffer(b"".join([value[_HASH] for _, value in pairs]), ">u8").astype(np.uint64),
            [value[_HEAD.size :] for _, value in pairs],
        )


class UpperLayer:
    """tables: of the database, by name."""

    def __init__(self, tables: dict[str, Any]):
        self._newer, self._arrived, self._facts = (tables[name] for name in ("newer", "arrived", "facts"))

    def put(self, writing: Any, pair: Pair, *, told: bool) -> None:
        """told: to those who follow. One that is there already stays as it is."""
        if writing.put(*pair, db=self._newer, overwrite=False) and told:
            number = self.arrived(writing)
            writing.put(_NUMBER.pack(number), pair[0], db=self._arrived)
            writing.put(_ARRIVED, _NUMBER.pack(number + 1), db=self._facts)
            if number >= ARRIVALS:
                writing.delete(_NUMBER.pack(number - ARRIVALS), db=self._arrived)

    def delete(self, writing: Any, key: bytes) -> None:
        writing.delete(key, db=self._newer)

    def newest(
        self, reading: Any, asked: Sequence[tuple[str, int]], most: int | None, items_of: Callable[[Rows], list[int]]
    ) -> list[list[tuple[int, int]]]:
        """(item, time) of each (user, moment), newest first, received by then: of the newest at least so many, where there are.

        items_of: of rows that were read, 0 for one that is not to count. It is asked once for all users, and again where it left
        too few."""
        found: list[list[tuple[int, int]]] = [[] for _ in asked]
        walks = [(place, digest(user), self._before(reading, user, at_us)) for place, (user, at_us) in enumerate(asked)]
        left = [(place, name, cursor) for place, name, cursor in walks if cursor is not None]
        while left:
            pairs: list[Pair] = []
            places: list[int] = []
            further = []
            for place, name, cursor in left:
                more = _walk(cursor, name, None if most is None else most - len(found[place]), pairs)
                places.extend([place] * (len(pairs) - len(places)))
                if more:
                    further.append((place, name, cursor))
            if not pairs:
                break
            rows = Rows.of(pairs)
            for place, item, at, received in zip(places, items_of(rows), rows.at_us, rows.received_us, strict=True):
                if item and received < asked[place][1]:
                    found[place].append((item, at))
            left = [one for one in further if len(found[one[0]]) < (most or 0)]
        return found

    def all(self, reading: Any) -> Iterator[Rows]:
        """So many at a time."""
        cursor = iter(reading.cursor(self._newer))
        while pairs := list(islice(cursor, _AT_ONCE)):
            yield Rows.of(pairs)

    def arrived(self, reading: Any) -> int:
        """How many came in so far."""
        found = reading.get(_ARRIVED, db=self._facts)
        return _NUMBER.unpack(found)[0] if found else 0

    def since(self, reading: Any, number: int) -> list[Rows] | None:
        """Those that came in after the first so many, and are still there. None: more came than are kept."""
        if self.arrived(reading) - number > ARRIVALS:
            return None
        cursor = reading.cursor(self._arrived)
        keys = [key for _, key in cursor] if cursor.set_range(_NUMBER.pack(number)) else []
        return [Rows.of(reading.cursor(self._newer).getmulti(keys))]

    def _before(self, reading: Any, user: str, at_us: int) -> Any:
        """A cursor on the user's newest row before the moment, or on another user's; None if nobody has one."""
        cursor = reading.cursor(self._newer)
        there = cursor.prev() if cursor.set_range(digest(user) + packed_time(at_us)) else cursor.last()
        return cursor if there else None


def _walk(cursor: Any, name: bytes, most: int | None, into: list[Pair]) -> bool:
    """Back over rows of the user, to the end of the step in which there are enough. Whether there may be more."""
    enough = sys.maxsize if most is None else len(into) + max(most, 1)
    for pair in cursor.iterprev():
        key = pair[0]
        if not key.startswith(name):
            return False
        if len(into) >= enough and key[_WHEN] != into[-1][0][_WHEN]:  # which of a step are the newest is not said by the keys
            return True
        into.append(pair)
    return False


def pair_of(event: Mapping[str, Any], hashed: int) -> Pair:
    """event: a row of the contract's table, its times in µs. hashed: its id, as builds know theirs."""
    key = digest(event["user_id"]) + packed_time(event["at"]) + digest(event["event_id"])
    return key, _HEAD.pack(event["received_at"], hashed) + event["item_id"].encode()


def packed_time(at_us: int) -> bytes:
    return _TIME.pack(at_us + SIGN)
