"""The process above a server's workers: it holds the run and the port, starts them, and starts again what died.

    start      the port is held, the run's lock taken; worker 0 alone, so that what is done once is done once; then the rest
    a death    is said, what the worker had open is forgotten, and another takes its seat: at once, then after 0.5, 1, 2 .. 10 s
    a start    that fails: of the first worker it ends the server, as does the fifth of a seat within a minute if no other worker
               answers; while others do, the seat is tried again every minute
    a stop     SIGTERM and SIGINT go on to the workers, which drain as one server does; what is left after STOP_S is killed
    its own    death (kill -9) is seen by the workers, as a pipe ends: they drain and stop. They hold the run's lock until then,
               so a new server that is started too early is refused

It loads neither models nor what answers HTTP. Workers are new processes that inherit the lock.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from headrace.artifacts.atomic import place
from headrace.contracts.errors import ConfigError, HeadraceError
from headrace.contracts.serving import ServeConfig
from headrace.serve.guard.log_lines import LogFormat
from headrace.serve.metrics import FOLDER, forget_process
from headrace.serve.state.database import Database
from headrace.serve.state.lately import emptied
from headrace.serve.workers.processes import Starter, Worker

log = logging.getLogger(__name__)

STOP_S = 45.0
"""Beyond drain_s: answers in flight have 30 s, then logs are written."""
_FAILURES, _WITHIN_S = 5, 60.0
_FIRST_S, _LAST_S = 0.5, 10.0
FILE = "workers.json"
"""Below `served`: who serves, for people and the console."""


class Supervisor:
    """sockets: that hold the port. settings: of [serve]. other: keys of it that are not as the plan says. ready: called once the
    first worker answers."""

    def __init__(
        self, folder: Path, workers: int, sockets: Sequence[socket.socket], settings: ServeConfig, *,
        log_format: LogFormat = "text", other: dict[str, Any] | None = None, ready: Callable[[], None] = lambda: None,
    ):  # fmt: skip
        self.root, self.of, self.sockets, self.settings, self.ready = folder / "served", workers, sockets, settings, ready
        self.workers: dict[int, Worker] = {}
        self.stopped_by: signal.Signals | None = None
        self._due: dict[int, float] = {}  # when a seat is to be filled
        self._deaths: dict[int, deque[float]] = {number: deque() for number in range(workers)}
        self._failures: dict[int, deque[float]] = {number: deque() for number in range(workers)}
        self._signals: list[signal.Signals] = []
        self._begun = False
        self._kill_at: float | None = None
        state = self.root / "state"
        state.mkdir(parents=True, exist_ok=True)
        self.database = Database(state, settings.map_gb, sole=True)
        emptied(self.root / "lately")
        self._alive = os.pipe()
        self._looks = selectors.DefaultSelector()
        self._metrics = emptied(self.root / "metrics")
        self.starter = Starter(
            folder, workers, [one.getsockname() for one in sockets], self._alive[0], [self.database.lock],
            {**os.environ, FOLDER: str(self._metrics)}, log_format, other or {},
        )  # fmt: skip

    def run(self) -> signal.Signals:
        """Until a signal stopped all of them; which. ConfigError: a worker can't be started."""
        try:
            with self._listening_to_signals():
                self._start(0)
                while self.workers or self._due:
                    self._turn()
        finally:
            self._end()
        assert self.stopped_by is not None
        return self.stopped_by

    def _turn(self) -> None:
        for key, _ in self._looks.select(self._patience()):
            if isinstance(key.data, Worker):
                self._hear(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(4096)  # type: ignore[union-attr]
        while self._signals:
            self._stop(self._signals.pop(0))
        for worker in list(self.workers.values()):
            if worker.process.poll() is not None:
                self._died(worker)
        now = time.monotonic()
        for number in [number for number, at in self._due.items() if at <= now]:
            self._start(number)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            for worker in self.workers.values():
                log.error("%s did not stop and is killed", _name(worker))
                worker.process.kill()

    def _patience(self) -> float | None:
        due = [*self._due.values(), *([] if self._kill_at is None else [self._kill_at])]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _start(self, number: int) -> None:
        self._due.pop(number, None)
        try:
            worker = self.starter.start(number)
        except OSError as error:  # no memory, or too many processes: those that answer go on
            if not self._begun:
                raise ConfigError(f"no process can be started: {error.strerror}. Make room on this machine.") from None
            log.error("worker %d can't be started (%s); it is tried again in %g s", number, error.strerror, _LAST_S)
            self._due[number] = time.monotonic() + _LAST_S
            return
        self.workers[number] = worker
        self._looks.register(worker.told, selectors.EVENT_READ, worker)
        self._note()

    def _hear(self, worker: Worker) -> None:
        self._looks.unregister(worker.told)
        worker.hear()
        if not worker.ready:
            return  # it is about to end
        log.info("%s answers", _name(worker))
        self._note()
        if not self._begun:
            self._begun = True
            self.ready()
            if self.stopped_by is None:
                for number in range(1, self.of):
                    self._start(number)

    def _died(self, worker: Worker) -> None:
        number, now = worker.seat.number, time.monotonic()
        del self.workers[number]
        if worker.told >= 0:
            self._hear(worker)
        self._forget(worker.process.pid)
        self._note()
        if self.stopped_by is not None:
            if worker.process.returncode not in (0, -signal.SIGTERM, -signal.SIGINT):
                log.error("%s %s while it stopped", _name(worker), worker.ended)
            return
        why = worker.error or f"it {worker.ended}"
        deaths = _lately(self._deaths[number], now)
        wait_s = 0.0 if deaths == 1 else min(_FIRST_S * 2 ** (deaths - 2), _LAST_S)
        if not worker.ready:
            failures = _lately(self._failures[number], now)
            if not self._begun:
                raise ConfigError(worker.error or f"worker {number} {worker.ended} before it was ready; its lines above say why.")
            if failures >= _FAILURES:
                says = f"worker {number} could not be started {failures} times within {_WITHIN_S:.0f} s: {why}"
                if not any(one.ready for one in self.workers.values()):
                    raise ConfigError(says)
                log.error("%s; the others go on", says)
                wait_s = _WITHIN_S
        self._due[number] = now + wait_s
        log.error("%s %s%s; it is started again in %g s", _name(worker), worker.ended, worker.error and f" ({why})", wait_s)

    def _forget(self, pid: int) -> None:
        """What it had open in what the others share."""
        forget_process(self._metrics, pid)
        try:
            self.database.forget_process(pid)
        except HeadraceError as error:  # a full disk: until the next death more is kept for builds than is needed
            log.warning("%s", error)

    def _stop(self, sig: signal.Signals) -> None:
        """To the workers that answer; one that starts has nothing to finish."""
        if self.stopped_by is None:
            self.stopped_by = sig
            self._due.clear()
            drain_s = self.settings.drain_s if sig == signal.SIGTERM else 0.0
            self._kill_at = time.monotonic() + drain_s + STOP_S
            for one in self.sockets:
                one.close()  # so that the port is free when the workers' are
        for worker in self.workers.values():
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(sig if worker.ready else signal.SIGTERM)

    def _end(self) -> None:
        """Also of workers that are left where something failed here."""
        for worker in self.workers.values():
            worker.process.terminate()
        until = time.monotonic() + STOP_S
        for worker in self.workers.values():
            try:
                worker.process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        for one in self.sockets:
            one.close()
        for pipe in self._alive:
            os.close(pipe)
        self._looks.close()
        (self.root / FILE).unlink(missing_ok=True)
        self.database.close()

    def _note(self) -> None:
        told = {"supervisor": os.getpid(), "workers": [one.as_dict() for _, one in sorted(self.workers.items())]}
        try:
            place(self.root / FILE, json.dumps(told) + "\n")
        except HeadraceError as error:  # a full disk keeps nobody from answering
            log.warning("%s", error)

    @contextlib.contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        """They are put in line, and wake the loop."""

        def heard(number: int, _: FrameType | None) -> None:
            if number != signal.SIGCHLD:
                self._signals.append(signal.Signals(number))

        reads, writes = socket.socketpair()
        reads.setblocking(False)
        writes.setblocking(False)
        self._looks.register(reads, selectors.EVENT_READ)
        before = {one: signal.signal(one, heard) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)}
        woken = signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            for one, handler in before.items():
                signal.signal(one, handler)
            self._looks.unregister(reads)
            reads.close()
            writes.close()


def serving_workers(root: Path) -> list[dict[str, Any]]:
    """Of the server of `served`: number, pid, since when, whether ready; none of one that is a single process."""
    try:
        found: list[dict[str, Any]] = json.loads((root / FILE).read_text())["workers"]
    except (OSError, ValueError, LookupError):
        return []
    return found


def _name(worker: Worker) -> str:
    return f"worker {worker.seat.number} (process {worker.process.pid})"


def _lately(times: deque[float], now: float) -> int:
    """This one included."""
    times.append(now)
    while times[0] < now - _WITHIN_S:
        times.popleft()
    return len(times)
