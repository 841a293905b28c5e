"""What a page asks of Redis again and again, asked once, as of its beginning: one round trip instead of nine.

    the clock and the last events · who was erased, and how many · which items changed · what came in · the answer it got before

What was acknowledged before the request came is in it. Whether an item went meanwhile is looked at once more, when the page is
made (`items_again`). It belongs to the thread that makes the page, and is gone with the page.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headrace.serve.state.database import digest
from headrace.serve.state.redis_scripts import ARRIVALS, CHANGED, ERASED, MOMENT, RECENT
from headrace.serve.state.redis_server import RedisServer, Unavailable


@dataclass
class Look:
    """moment: the last events' and the clock, (us, s, us); changed: the number of items' last change. None: to be asked again."""

    user_id: str
    request_id: str
    moment: tuple[int, int, int] | None
    erased: bool
    erasures: int
    changed: int | None
    arrived: int
    row: bytes | None


class Looks:
    def __init__(self, server: RedisServer):
        self._server, self._threads = server, threading.local()

    @property
    def mine(self) -> Look | None:
        return getattr(self._threads, "look", None)

    @contextmanager
    def at(self, user_id: str, request_id: str) -> Iterator[None]:
        """Around a page. While Redis is away everything is asked for itself, and says so."""
        try:
            self._threads.look = self._taken(user_id, request_id)
        except Unavailable:
            self._threads.look = None
        try:
            yield
        finally:
            self._threads.look = None

    def items_again(self) -> None:
        look = self.mine
        if look is not None:
            look.changed = None

    def _taken(self, user_id: str, request_id: str) -> Look:
        pipe = self._server.client.pipeline(transaction=True)
        pipe.get(MOMENT).time().sismember(ERASED, digest(user_id)).scard(ERASED).get(CHANGED).get(ARRIVALS)
        found = self._server.ask(lambda _: pipe.hget(RECENT, digest(request_id)).execute())
        moment, (s, us), erased, erasures, changed, arrived, row = found
        clock = (int(moment or 0), int(s), int(us))
        return Look(user_id, request_id, clock, bool(erased), int(erasures), int(changed or 0), int(arrived or 0), row)
