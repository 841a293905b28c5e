"""What all servers take in, in the order in which Redis did, for who follows it (`counting`).

Rows of users are read where they lie, in any order; what came in meanwhile is told by the list of arrivals and is left out of
those, for it is asked for next. So each row is told once. Cost at the start: one pass over all rows; then one look a request.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from headrace.serve.state.database import DIGEST
from headrace.serve.state.redis_look import Looks
from headrace.serve.state.redis_scripts import ARRIVALS, ARRIVED, ARRIVED_SINCE, USER
from headrace.serve.state.redis_server import RedisServer, Unavailable
from headrace.serve.state.upper import SIGN

HEAD = struct.Struct(">Q16sqQ")  # of a user's row, before the item's id
_AT_ONCE = 1000
Row = tuple[bytes, int, int, int, str]
"""A user's digest, when it happened, when it was received, the hash of the event's id, the item's id."""


class RedisArrivals:
    def __init__(self, server: RedisServer, looks: Looks):
        self._server, self._looks, self._last = server, looks, 0
        self._since: Any = server.client.register_script(ARRIVED_SINCE)

    @property
    def number(self) -> int:
        """Of the last that arrived; what was last known while Redis is away."""
        look = self._looks.mine
        if look is not None:
            return look.arrived
        with suppress(Unavailable):
            self._last = int(self._server.ask(lambda redis: redis.get(ARRIVALS)) or 0)
        return self._last

    def since(self, number: int) -> tuple[int, list[Row] | None]:
        """The number now, and the rows after the one given; None: all have to be read. None new while Redis is away."""
        try:
            now, rows = self._packed(number)
        except Unavailable:
            return number, []
        return now, None if rows is None else [row_of(row[:DIGEST], row[DIGEST:]) for row in rows]

    def all(self) -> tuple[int, Iterator[list[Row]]]:
        """The number now, and all rows up to it. Unavailable."""
        number = int(self._server.ask(lambda redis: redis.get(ARRIVALS)) or 0)
        return number, self._all(number)

    def _all(self, number: int) -> Iterator[list[Row]]:
        seen, place = set[bytes](), 0
        while True:
            place, keys = self._keys_after(place)
            found = [(key, row) for key in keys if key not in seen for row in self._rows(key)]
            seen.update(keys)  # SCAN may name a key twice
            _, later = self._packed(number)
            if later is None:
                raise Unavailable("Redis took in more than could be read meanwhile.")
            late, start = set(later), len(USER)
            yield [row_of(key[start:], row) for key, row in found if key[start:] + row not in late]
            if place == 0:
                return

    def _keys_after(self, place: int) -> tuple[int, list[bytes]]:
        found: tuple[int, list[bytes]] = self._server.ask(lambda redis: redis.scan(place, USER + "*", _AT_ONCE))
        return found

    def _rows(self, key: bytes) -> list[bytes]:
        found: list[bytes] = self._server.ask(lambda redis: redis.zrange(key, 0, -1))
        return found

    def _packed(self, number: int) -> tuple[int, list[bytes] | None]:
        now, *rows = self._server.ask(lambda _: self._since([ARRIVED, ARRIVALS], [number]))
        return int(now), [row for row in rows[0] if row] if rows else None  # an erased user's are empty


def row_of(user: bytes, row: bytes) -> Row:
    at, _, received, hashed = HEAD.unpack_from(row)
    return user, at - SIGN, received, hashed, row[HEAD.size :].decode()
