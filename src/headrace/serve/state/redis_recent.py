"""Answers given lately, in one Redis for several servers: a request that is sent again to another gets the page it got.

Of two servers that answer one request at once, the first to be kept counts. While Redis is away each server keeps what it answers
itself, and goes on knowing that when Redis is back.
"""

from collections.abc import Callable, Sequence
from typing import Any

from headrace.contracts.requests import Bool
from headrace.serve.state.database import digest
from headrace.serve.state.recent import Recent, Remembered
from headrace.serve.state.redis_look import Looks
from headrace.serve.state.redis_scripts import ERASED, FORGET_RECENT, RECENT, RECENT_ORDER, REMEMBER
from headrace.serve.state.redis_server import RedisServer, Unavailable


class RedisRecent:
    """A `Recent`. most: requests kept, of all servers. here: this server's own."""

    def __init__(self, server: RedisServer, looks: Looks, most: int, here: Recent):
        self._server, self._looks, self._most, self._here = server, looks, most, here
        self._remember: Any = server.client.register_script(REMEMBER)
        self._forget: Any = server.client.register_script(FORGET_RECENT)

    def get(self, request_id: str) -> Remembered | None:
        look = self._looks.mine
        try:
            if look is not None and look.request_id == request_id:
                row = look.row
            else:
                row = self._server.ask(lambda redis: redis.hget(RECENT, digest(request_id)))
        except Unavailable:
            row = None
        return self._here.get(request_id) if row is None else Remembered.read(row)

    def put(self, answered: Remembered, also: Callable[[], None] = lambda: None) -> bool:
        look = self._looks.mine
        names = [digest(answered.asked.request_id), digest(answered.asked.user_id)]
        args = [*names, answered.row, self._most]
        try:
            first = bool(self._server.ask(lambda _: self._remember([RECENT, RECENT_ORDER, ERASED], args)))
        except Unavailable:
            return self._here.put(answered, also)
        if first:
            also()
        elif look is not None:
            look.request_id = ""  # what it got by then is to be asked
        return first

    def forget(self, erased: Callable[[Sequence[str]], Bool]) -> None:
        self._here.forget(erased)
        self._server.ask(lambda _: self._forget([RECENT, RECENT_ORDER, ERASED]))
