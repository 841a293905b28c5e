"""Served events as files of the contract's table: events/DAY/NUMBER.parquet, written beside and renamed.

An event is in the online state before it is acknowledged and in a file soon after. A file is named by the number of its first
event, so one that was written when the process died is written again under the same name, and no event is in two. Of several
processes the one with the duty writes for all, and each syncs the commits that it made; one that stops writes what waits itself.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import polars as pl

from headrace.serve.logs.files import alone, file_name, write_by_day
from headrace.serve.state.layered import LayeredState
from headrace.serve.state.redis_server import Unavailable

log = logging.getLogger(__name__)


class EventLog:
    """root: of the served logs. A thread syncs the state every sync_s and writes what waits every rotate_s. beside: writes what
    waits beside events. mine: whether writing is this process's duty. after: called at the start and at each rotation, whose ever
    the duty is."""

    def __init__(
        self, root: Path, state: LayeredState, *, sync_s: float, rotate_s: float, beside: Callable[[], object] = lambda: None,
        mine: Callable[[], bool] = lambda: True, after: Callable[[], object] = lambda: None,
    ):  # fmt: skip
        self.root, self.state, self._sync_s, self._rotate_s = root, state, sync_s, rotate_s
        self.beside, self._mine, self._after = beside, mine, after
        self._stop, self._writing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="event log", daemon=True)
        self._thread.start()

    def write(self) -> int:
        """All that waits; events written."""
        self.beside()
        done = 0
        with self._writing, alone(self.root):
            self.state.settle(self.root / "events")
            while True:
                keys, events = self.state.pending()
                if not keys:
                    return done
                agreed = partial(self.state.agreed, keys)
                if write_by_day(self.root / "events", events, "received_at", file_name(keys[0]), agreed):
                    self.state.written(keys)
                    done += len(keys)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self.write()
        except Unavailable as error:
            log.warning("%s: what waits in Redis is left to another server, or the next start (%s)", self.root, error)
        except Exception:  # what else is open has to be closed whatever a disk or a row does
            log.exception("%s: events that wait are left to the next start", self.root)

    def _run(self) -> None:
        due_s, begins = time.monotonic() + self._rotate_s, True
        while not self._stop.wait(self._sync_s):
            try:
                self.state.sync()
                due = time.monotonic() >= due_s
                if due:
                    due_s = time.monotonic() + self._rotate_s
                    try:
                        if self._mine():
                            self.write()
                    finally:
                        self._after()
                elif begins:  # what a server missed that was down it hears of at once
                    begins = False
                    self._after()
            except Unavailable as error:
                log.warning("%s: rows wait in Redis (%s)", self.root, error)
            except Exception:  # a full disk, or whatever: what waits stays where it is and is tried again, which needs the thread
                log.exception("%s: events wait to be written", self.root)


def served_events(root: Path) -> Iterator[pl.DataFrame]:
    """Every file, oldest first."""
    for path in sorted((root / "events").glob("*/*.parquet")):
        yield pl.read_parquet(path)
