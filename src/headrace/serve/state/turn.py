"""One at a time, of all threads of all processes that go by one file. A process that dies gives its turn back.

    Turn         for what waits for the disk: who waits sleeps
    BriefTurn    for what takes microseconds, as a number in shared memory

Whoever has a brief turn must not wait for Python's own lock in it, or all other processes wait too. So it is taken by a call that
keeps that lock, which `fcntl.flock` does not, and one that is not free is asked for again a moment later. Cost: two system calls.
"""

import ctypes
import fcntl
import os
import time
from pathlib import Path
from threading import Lock

_AGAIN_S = 20e-6
_keeping = ctypes.PyDLL(None)  # the C library, called without letting go of Python's lock
_NOW, _OVER = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN


class Turn:
    def __init__(self, path: Path):
        self._file, self._elsewhere = (os.open(path, os.O_RDWR | os.O_CREAT, 0o644) for _ in range(2))
        self._lock = Lock()  # threads of a process have one file, which is locked for all of them

    def __enter__(self) -> None:
        self._lock.acquire()
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, _OVER)
        self._lock.release()

    def free(self) -> bool:
        """Whether nobody has it, this process included."""
        if _keeping.flock(self._elsewhere, _NOW):
            return False
        _keeping.flock(self._elsewhere, _OVER)
        return True

    def close(self) -> None:
        os.close(self._file)
        os.close(self._elsewhere)


class BriefTurn(Turn):
    def __enter__(self) -> None:
        self._lock.acquire()
        while _keeping.flock(self._file, _NOW):
            time.sleep(_AGAIN_S)

    def __exit__(self, *_: object) -> None:
        _keeping.flock(self._file, _OVER)
        self._lock.release()
