"""The processes of a server as its supervisor holds them: started, heard of, ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.serve.guard.log_lines import LogFormat
from headrace.serve.workers.seat import Seat
from headrace.serve.workers.worker import Task


@dataclass
class Worker:
    """told: the pipe on which it says once what came of its start; -1 when it has. error: what it said, where it could not."""

    seat: Seat
    process: "subprocess.Popen[bytes]"
    told: int
    since: float = field(default_factory=time.time)
    ready: bool = False
    error: str = ""

    def hear(self) -> None:
        """What stands in the pipe, which is closed afterwards."""
        said = os.read(self.told, 65536)
        os.close(self.told)
        self.told = -1
        found = json.loads(said) if said else {}
        self.ready, self.error = found.get("ready", False), found.get("error", "")

    @property
    def ended(self) -> str:
        """How, once it has."""
        code = self.process.returncode
        if code >= 0:
            return f"ended with status {code}"
        return f"was ended by {signal.Signals(-code).name}"

    def as_dict(self) -> dict[str, Any]:
        return {"number": self.seat.number, "pid": self.process.pid, "since": self.since, "ready": self.ready}


@dataclass(frozen=True)
class Starter:
    """What all processes of a server have in common. addresses: they listen on. held: descriptors that each keeps open as long as
    it lives."""

    folder: Path
    of: int
    addresses: Sequence[Sequence[Any]]
    alive: int
    held: Sequence[int]
    environment: Mapping[str, str]
    log_format: LogFormat
    other: Mapping[str, Any]

    def start(self, number: int) -> Worker:
        """A new interpreter, not a fork: threads and sessions of models do not live through one. In a group of its own, so that
        Ctrl+C reaches the supervisor alone."""
        reads, writes = os.pipe()
        task = Task(
            str(self.folder), number, self.of, [list(one) for one in self.addresses], writes, self.alive, self.log_format,
            dict(self.other),
        )  # fmt: skip
        command = [sys.executable, "-P", "-m", "headrace.serve.workers.worker", task.text]
        modules = os.pathsep.join(one or os.getcwd() for one in sys.path)  # found where this process finds them
        try:
            process = subprocess.Popen(
                command, pass_fds=(*self.held, self.alive, writes), env={**self.environment, "PYTHONPATH": modules},
                stdin=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
        except OSError:
            os.close(reads)
            raise
        finally:
            os.close(writes)
        return Worker(Seat(number, self.of), process, reads)
