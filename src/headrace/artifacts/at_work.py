"""What a process is making in a folder, such as a store, told to whoever looks: .progress/PID.json there while it goes on.

The file is renamed into place at most five times a second, holds what is under way, and goes with the last of it. A process that
was killed leaves its file: readers know it by its process, and the next one at work in the store clears it away. Nothing waits
for this file, and work goes on where it can't be written.
"""

import atexit
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from threading import RLock, Timer
from typing import Any

FOLDER = ".progress"
_APART_S = 0.2


@dataclass(frozen=True)
class Bar:
    """of: 0 where nobody knows how much there is. started, updated: seconds since 1970. note: the latest figure worth seeing."""

    stage: str
    done: int
    of: int
    note: str
    started: float
    updated: float


@dataclass(frozen=True)
class Job:
    """bars: the outermost stage first. running: as far as this machine can tell; a job of another host is taken at its word.

    command: its verb, such as "headrace build"; "" of a process that is not the command line's.
    """

    pid: int
    host: str
    bars: tuple[Bar, ...]
    running: bool
    command: str = ""


class AtWork:
    """A `Progress` that keeps this process's file. One for a folder and a process: see `at_work`."""

    def __init__(self, folder: Path):
        self._path, self._lock = folder / f"{os.getpid()}.json", RLock()
        self._bars: dict[str, Bar] = {}
        self._making: list[str] = []
        self._next_s, self._waiting, self._cleared = 0.0, False, False
        atexit.register(self._gone)

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        with self._lock:
            if done < total or what in self._making:
                now = time.time()
                started = self._bars[what].started if what in self._bars else now
                self._bars[what] = Bar(what, done, total, note, started, now)
            else:
                self._bars.pop(what, None)
            self._changed()

    @contextmanager
    def stage(self, label: str) -> Iterator[None]:
        """Under way until it is left; what it told of goes with it, finished or not."""
        with self._lock:
            outer = set(self._bars)
            self._making.append(label)
            self(label, 0, 0)
        try:
            yield
        finally:
            with self._lock:
                self._making.remove(label)
                self._bars = {name: bar for name, bar in self._bars.items() if name in outer}
                self._changed()

    def _changed(self) -> None:
        left_s = self._next_s - time.monotonic()
        if not self._bars:
            self._gone()
        elif left_s <= 0:
            self._write()
        elif not self._waiting:  # a stage may say nothing more for an hour, so its first word is not dropped
            self._waiting = True
            late = Timer(left_s, self._late)
            late.daemon = True
            late.start()

    def _late(self) -> None:
        with self._lock:
            self._waiting = False
            if self._bars:
                self._write()

    def _write(self) -> None:
        self._next_s = time.monotonic() + _APART_S
        bars = [asdict(bar) for bar in self._bars.values()]
        told = {"pid": os.getpid(), "host": socket.gethostname(), "began": _began(os.getpid()), "bars": bars}
        told["command"] = command_of(sys.argv)
        beside = self._path.with_name(f".{self._path.name}")
        with suppress(OSError):  # a full disk is told by the work itself
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._cleared:
                self._cleared = True
                _clear(self._path.parent)
            beside.write_text(json.dumps(told))
            os.replace(beside, self._path)

    def _gone(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def at_work(root: Path) -> AtWork:
    """root: of the store, or a folder that is worked in."""
    return _of(root.absolute() / FOLDER, os.getpid())


def jobs(root: Path) -> list[Job]:
    """Of every process that is at work in the store, or was when it died; the one that began first comes first."""
    found = [job for path in (root / FOLDER).glob("[0-9]*.json") if (job := _read(path))]
    return sorted(found, key=lambda job: (job.bars[0].started, job.pid))


@cache
def _of(folder: Path, pid: int) -> AtWork:
    """pid: a forked process has a file of its own."""
    return AtWork(folder)


def _read(path: Path) -> Job | None:
    """None where it went meanwhile, or is none of ours."""
    try:
        told = json.loads(path.read_text())
        pid, host = int(told["pid"]), str(told["host"])
        bars = tuple(_bar(one) for one in told["bars"])
        running = host != socket.gethostname() or _began(pid) == str(told["began"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Job(pid, host, bars, running, str(told.get("command", ""))) if bars else None


def command_of(arguments: Sequence[str]) -> str:
    """The verb and nothing behind it: that may be anything, a user's id too."""
    program, *rest = arguments or [""]
    verb = next((one for one in rest[:1] if one.isascii() and one.isalpha()), "")
    return f"headrace {verb}" if Path(program).name == "headrace" and verb else ""


def _bar(told: Mapping[str, Any]) -> Bar:
    done, of = int(told["done"]), int(told["of"])
    return Bar(str(told["stage"]), done, of, str(told["note"]), float(told["started"]), float(told["updated"]))


def _clear(folder: Path) -> None:
    for path in folder.glob("[0-9]*.json"):
        job = _read(path)
        if job and not job.running:
            path.unlink(missing_ok=True)


def _began(pid: int) -> str:
    """When the process began, in the system's ticks: a later process may have its number. "" where there is none."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state == "Z" else rest[18]
