"""How late a process wakes up that only sleeps: what the machine, and whoever else uses it, adds to a latency measured beside it.

    python -m benchmarks.jitter OUT.npy CORE        # until it is terminated, 50 times a second

Rows of (when it was due, how late it was), seconds on the clock that all processes of a machine share.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray

EVERY_S = 0.02


@contextmanager
def sleeping(core: int, path: Path) -> Iterator[None]:
    """Beside what is measured; the rows lie at the path afterwards."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.jitter", path, str(core)])
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def lateness(path: Path, start_s: float = 0.0) -> NDArray[np.float64]:
    """[rows, 2] from a moment on."""
    rows: NDArray[np.float64] = np.load(path)
    return rows[rows[:, 0] >= start_s]


def ran_and_waited_s(pid: int | str = "self") -> tuple[float, float]:
    """Over all threads of a process: on a core, and waiting for one while they could have run."""
    tasks = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(ran) for ran, *_ in tasks) / 1e9, sum(int(waited) for _, waited, _ in tasks) / 1e9


def main(path: str, core: str) -> None:
    stopped, found = False, []

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    os.sched_setaffinity(0, {int(core)})
    due = time.perf_counter()
    while not stopped:
        due += EVERY_S
        time.sleep(max(due - time.perf_counter(), 0))
        late = time.perf_counter() - due
        found.append((due, late))
        due = max(due, time.perf_counter() - EVERY_S)  # one long wait is one, not many
    np.save(path, np.array(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
