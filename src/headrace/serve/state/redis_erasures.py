"""Erasures that every server on one Redis has to follow: each takes the user out of its own files, whenever it gets to it.

    erased      digests of users who were erased; no id is ever handed over, for files are looked through by digest
    followed    folder of a server -> how many of them its files name no more

What Redis lost of `erased` is put back by every server that knows it, from its own database. A folder that is gone for good stays
in `followed` until somebody takes it out.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from headrace.serve.state.database import Database
from headrace.serve.state.redis_scripts import ERASED, FOLLOWED
from headrace.serve.state.redis_server import RedisServer


class RedisErasures:
    """database: this server's own. folder: its name. forget: erases one in Redis and here."""

    def __init__(self, server: RedisServer, database: Database, folder: str, forget: Callable[[bytes], object]):
        self._server, self._database, self._folder, self._forget = server, database, folder, forget

    def left(self) -> set[bytes]:
        """Those whom this server has yet to follow. Cost: a round trip where there are none."""
        count, noted = self._server.ask(lambda redis: redis.pipeline().scard(ERASED).hget(FOLLOWED, self._folder).execute())
        with self._database.reading() as reading:
            here = {name: reading.stat(self._database.tables[name])["entries"] for name in ("erased", "followed")}
        if noted is not None and count == int(noted) == here["erased"] == here["followed"]:
            return set()
        told: set[bytes] = self._server.ask(lambda redis: redis.smembers(ERASED))
        for lost in set(self._names("erased")) - told:
            self._forget(lost)
            told.add(lost)
        left = told - set(self._names("followed"))
        if not left:
            self._note(len(told))
        return left

    def followed(self, digests: Collection[bytes]) -> None:
        """What the state's own tables hold of the time before Redis goes too."""
        with self._database.reading() as reading:
            holds = reading.stat(self._database.tables["newer"])["entries"]
        for one in digests if holds else ():
            Database.forget_digest(self._database, one)
        with self._database.writing() as writing:
            for one in digests:
                writing.put(one, b"", db=self._database.tables["erased"])
                writing.put(one, b"", db=self._database.tables["followed"])
        self._database.sync()
        told = self._server.ask(lambda redis: redis.smembers(ERASED))
        self._note(len(told & set(self._names("followed"))))

    def elsewhere(self) -> int:
        """Other servers that are not as far as Redis is."""
        count, noted = self._server.ask(lambda redis: redis.pipeline().scard(ERASED).hgetall(FOLLOWED).execute())
        return sum(int(done) != count for folder, done in noted.items() if folder.decode() != self._folder)

    def _note(self, count: int) -> None:
        self._server.ask(lambda redis: redis.hset(FOLLOWED, self._folder, count))

    def _names(self, table: str) -> Iterator[bytes]:
        with self._database.reading() as reading:
            cursor: Any = reading.cursor(self._database.tables[table])
            yield from map(bytes, cursor.iternext(keys=True, values=False))
