"""A server of one's own for a load test: over a copy of the run made of hard links, so that no load gets into the run's logs.

The server and the client get cores of their own where there are enough: half each, or the server as many as it has workers. Where
those are all, they share them. What else the machine does is not kept away.
"""

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from headrace.contracts.errors import ConfigError
from headrace.serve.workers.supervisor import serving_workers

_START_S = 120.0


@dataclass(frozen=True)
class Started:
    """start_s: until it was ready. folder: of the copy it serves."""

    folder: Path
    url: str
    pid: int
    workers: int
    start_s: float
    server_cores: tuple[int, ...]
    client_cores: tuple[int, ...]


@contextmanager
def started(run: Path, more: Sequence[str] = (), *, workers: int = 1) -> Iterator[Started]:
    """more: of what the command takes. The copy is gone afterwards, and this process back on all its cores."""
    cores = sorted(os.sched_getaffinity(0))
    its, mine = divided(cores, workers)
    scratch = Path(tempfile.mkdtemp(prefix=".bench-", dir=run.resolve().parent))
    try:
        served = scratch / run.resolve().name
        shutil.copytree(run, served, copy_function=os.link, ignore=shutil.ignore_patterns("served", "keys.json"))
        command = [sys.executable, "-c", "from headrace.cli.main import run; run()", "serve", str(served), "--port", "0"]
        command += ["--workers", str(workers)]
        os.sched_setaffinity(0, its)  # a process that is started keeps to it
        with (scratch / "server.log").open("w") as out:
            began = time.monotonic()
            process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=out)
        os.sched_setaffinity(0, mine)
        try:
            url = _said(process, scratch / "server.log")
            _wait(process, url, scratch / "server.log")
            _all_ready(process, served / "served", workers)
            yield Started(served, url, process.pid, workers, round(time.monotonic() - began, 2), its, mine)
        finally:
            process.terminate()
            process.communicate(timeout=90)
    finally:
        os.sched_setaffinity(0, cores)
        shutil.rmtree(scratch)


def divided(cores: Sequence[int], workers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The server's and the client's."""
    first = min(max(len(cores) // 2, workers, 1), len(cores))
    return tuple(cores[:first]), tuple(cores[first:] or cores)


def _said(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Where it answers: it chose a port that was free."""
    assert process.stdout is not None
    says, _, _ = select.select([process.stdout], [], [], _START_S)
    found = re.search(rb"http://127\.0\.0\.1:\d+", process.stdout.readline()) if says else None
    if found is None:
        raise ConfigError(f"the server did not start:\n{log.read_text()[-2000:]}")
    return found[0].decode()


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    ends, ask = time.monotonic() + _START_S, build_opener(ProxyHandler({})).open
    while time.monotonic() < ends:
        try:
            with ask(f"{url}/readyz", timeout=2):
                return
        except (URLError, OSError):
            pass
        if process.poll() is not None:
            raise ConfigError(f"the server did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
    raise ConfigError(f"the server was not ready within {_START_S:.0f} s:\n{log.read_text()[-2000:]}")


def _all_ready(process: "subprocess.Popen[bytes]", root: Path, workers: int) -> None:
    ends = time.monotonic() + _START_S
    while workers > 1 and sum(one["ready"] for one in serving_workers(root)) < workers:
        if process.poll() is not None or time.monotonic() > ends:
            raise ConfigError(f"not all of {workers} workers were ready within {_START_S:.0f} s.")
        time.sleep(0.1)
