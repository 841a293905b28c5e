"""Processes that have one online state open, as the workers of a server do, and do what they are told."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
import polars as pl

from headrace.contracts.requests import Int64
from headrace.data.log import Log
from headrace.serve.state.counting import OnlineCounting
from headrace.serve.state.database import Database
from headrace.serve.state.layered import LayeredState
from tests.serve.state.test_layered import row

Build = tuple[str, Path]
"""Its key and its tables."""


class OverState:
    """What a process can be told. Builds by their keys; `now` is the one that answers."""

    def __init__(self, folder: Path, build: Build, connection: Connection):
        key, tables = build
        self.now, self._connection = LayeredState(folder, Log.from_tables(tables), key, map_gb=0.1, sole=False), connection
        self.open = {key: self.now}
        self.counting: OnlineCounting | None = None

    def stale(self) -> bool:
        return self.now.stale

    def beside(self, build: Build) -> bool:
        key, tables = build
        self.now = self.open[key] = self.now.beside(Log.from_tables(tables), key)
        return self.now.stale

    def rebuild(self, served: list[pl.DataFrame]) -> None:
        self.now.rebuild(served)

    def answer_with(self, key: str) -> None:
        self.now = self.open[key]

    def close(self, key: str) -> None:
        self.open.pop(key).close()

    def state(self, name: str, *args: Any) -> Any:
        return getattr(self.now, name)(*args)

    def asked(self, times: int) -> list[int]:
        return [self.now.moments.asked() for _ in range(times)]

    def length(self, user: str) -> int:
        return int(self.now.history([user], np.array([self.now.moments.asked()])).lengths[0])

    def rows_above(self) -> int:
        with self.now.reading() as reading:
            return int(reading.stat(self.now.tables["newer"])["entries"])

    def count(self, users: list[str], at_us: int) -> list[list[int]]:
        """Of users' events and those of the log's items, in a day: what came in above."""
        if self.counting is None:
            self.counting = OnlineCounting(self.now, self.now.log.counts)
        counts, items = self.counting.of(users), np.arange(1, len(self.now.log.items), dtype=np.int64)
        return [counts.users.count(np.array(counts.asked), at_us, 1).tolist(), counts.items.count(items, at_us, 1).tolist()]

    def busy(self, who: str, times: int) -> tuple[list[tuple[int, int]], int]:
        """Sends so many events, or more until what was asked meanwhile had several answers: (moment, events read) of each
        question, and how often a moment was not later than the one before, or what it had sent itself was not there."""
        read, wrong, ended = list[tuple[int, int]](), 0, Event()

        def asks() -> None:
            while not ended.is_set():
                at_us = self.now.moments.asked()
                read.append((at_us, int(self.now.history(["busy"], np.array([at_us])).lengths[0])))
                ended.wait(0.0005)

        asking = Thread(target=asks)
        asking.start()
        for number in range(50 * times):
            before = self.now.moments.asked()
            self.now.receive(row("busy", "i3", number, f"{who} {number}"))
            wrong += self.length("busy") <= number or self.now.moments.asked() <= before
            if number >= times and len({length for _, length in list(read)}) > 10:
                break
        ended.set()
        asking.join()
        moments = [at_us for at_us, _ in read]
        return read, wrong + sum(one >= other for one, other in pairwise(moments))

    def flood(self, who: str) -> None:
        """Tells of each event that was acknowledged, until it is killed."""
        for number in range(10**9):
            self.now.receive(row(who, "i3", number, f"{who} {number}"))
            self._connection.send(f"{who} {number}")


def obey(folder: Path, build: Build, connection: Connection) -> None:
    over = OverState(folder, build, connection)
    connection.send(over.stale())
    while (told := connection.recv()) is not None:
        name, args = told
        connection.send(getattr(over, name)(*args))
    os._exit(0)


class StateProcess:
    """folder: of the state, which a supervisor holds."""

    def __init__(self, folder: Path, build: Build):
        self.connection, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=obey, args=(folder, build, theirs))
        self.process.start()
        theirs.close()
        self.stale: bool = self.connection.recv()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def tell(self, name: str, *args: Any) -> None:
        self.connection.send((name, args))

    def hear(self) -> Any:
        assert self.connection.poll(300), "it does not answer"
        return self.connection.recv()

    def __call__(self, name: str, *args: Any) -> Any:
        self.tell(name, *args)
        return self.hear()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def end(self) -> None:
        if self.process.is_alive():
            self.connection.send(None)
            self.process.join(300)
        self.process.close()
        self.connection.close()


@contextmanager
def supervised(folder: Path) -> Iterator[tuple[Database, Any]]:
    """The database of the process that holds the run, and what starts another: (build) -> StateProcess."""
    folder.mkdir(exist_ok=True)
    database, started = Database(folder, 0.1, sole=True), list[StateProcess]()

    def start(build: Build) -> StateProcess:
        started.append(StateProcess(folder, build))
        return started[-1]

    yield database, start
    for one in started:
        one.end()
    database.close()


class InTurns:
    """An online state whose every call goes to the next process."""

    def __init__(self, processes: Sequence[StateProcess]):
        self._each = [(one, Lock()) for one in processes]
        self._calls = 0

    def _next(self, name: str, *args: Any) -> Any:
        self._calls += 1
        process, lock = self._each[self._calls % len(self._each)]
        with lock:
            return process("state", name, *args)

    def append(self, events: pl.DataFrame) -> Any:
        return self._next("append", events)

    def receive(self, events: pl.DataFrame) -> Any:
        return self._next("receive", events)

    def history(self, users: Sequence[str], at_us: Int64, newest: int | None = None) -> Any:
        return self._next("history", users, at_us, newest)

    def seen(self, event_ids: Sequence[str]) -> Any:
        return self._next("seen", event_ids)

    def erased(self, users: Sequence[str]) -> Any:
        return self._next("erased", users)

    def forget(self, user_id: str) -> Any:
        return self._next("forget", user_id)
