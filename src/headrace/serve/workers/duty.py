"""What one process of a server does for all: write the files of events and items, judge guardrails.

Whoever asks first has the duty and keeps it while it lives. It is an flock, so the kernel gives it on when a process dies,
however it died: there is nothing to wait for and nothing to clean up. The file names the process, for people to read.
"""

import fcntl
import os
from pathlib import Path
from threading import Lock


class Duty:
    """path: of a file that is made; one for each server."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._lock, self._held = path, Lock(), False
        self._file = path.open("a")

    @property
    def mine(self) -> bool:
        """Whether this process has it, from now on if nobody had it. It never waits."""
        with self._lock:
            if self._held or self._file.closed:
                return self._held
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._held = True
            os.ftruncate(self._file.fileno(), 0)
            os.write(self._file.fileno(), str(os.getpid()).encode())
            return True

    def close(self) -> None:
        """The next that asks has it."""
        with self._lock:
            self._held = False
            self._file.close()


def on_duty(path: Path) -> int | None:
    """The process that has it, or had it last."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
