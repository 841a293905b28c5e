"""One of a server's processes: `python -m headrace.serve.workers.worker TASK`, as the supervisor starts it.

It tells its supervisor once what came of the start, on a pipe: {"ready": true}, or {"error": why}. Another pipe ends when the
supervisor is gone, however it went; then the process drains and stops as after a SIGTERM.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.contracts.errors import HeadraceError
from headrace.serve.guard.log_lines import LogFormat, log_to_stderr
from headrace.serve.workers.seat import Seat
from headrace.serve.workers.sockets import listening


@dataclass(frozen=True)
class Task:
    """What a supervisor says to a process that it starts, as JSON. addresses: to listen on. told, alive: pipes that it inherits:
    one to tell on, one that ends with the supervisor. other: keys of [serve] that are not as the plan says."""

    folder: str
    number: int
    of: int
    addresses: list[list[Any]]
    told: int
    alive: int
    log_format: LogFormat = "text"
    other: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return json.dumps(asdict(self))


def serve(task: Task) -> None:
    """Until a signal stops it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it listens there is nothing to finish
    threading.Thread(target=_stop_with, args=(task.alive,), name="supervisor's end", daemon=True).start()
    log_to_stderr(task.log_format)
    try:
        from headrace.serve.app import create_app
        from headrace.serve.guard.listening import server

        app = create_app(Path(task.folder), seat=Seat(task.number, task.of), **task.other)
        host, port, *_ = task.addresses[0]
        listens = server(app, host, port, listening=lambda: _tell(task.told, {"ready": True}))
    except HeadraceError as error:
        _tell(task.told, {"error": str(error)})
        raise SystemExit(2) from None
    listens.run(sockets=listening(task.addresses))


def _tell(pipe: int, what: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(what).encode() + b"\n")
    os.close(pipe)


def _stop_with(pipe: int) -> None:
    """Nobody writes to the pipe, so a read returns when its other end is closed."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(Task(**json.loads(sys.argv[1])))
