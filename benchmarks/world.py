"""Worlds made and lived in: candidate rows a second and peak memory of a log, and seconds of a live day, one thread.

    python -m benchmarks.world [--sizes small,large] [--out FOLDER]

Each log is made in a process of its own, whose CPU seconds and peak resident memory are read at its end. The live day is one of
the small world under its logger: requests, recall, page, outcomes, and the best page there was for each request; median of five.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}  # read by numpy and polars when they load

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.importing import status_mb
from benchmarks.record import record
from headrace.flywheel.simulated import logger_of
from headrace.world.emit import make_log
from headrace.world.live import World
from headrace.world.settings import SIZES

DAYS = 5


def make(size: str, out: Path) -> None:
    """In the measured process."""
    started, started_cpu = time.perf_counter(), time.process_time()
    lines = make_log(World(SIZES[size]), logger_of(SIZES[size]), out)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    rows = sum(line["candidates"] for line in lines)
    clicks = sum(line["clicks"] for line in lines) / sum(line["impressions"] for line in lines)
    megabytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(rows, round(seconds, 1), round(cpu_s, 1), round(rows / cpu_s), status_mb("self", "VmHWM"), round(megabytes), clicks)


def measured(size: str, folder: Path) -> dict[str, Any]:
    out = folder / size
    command = [sys.executable, "-m", "benchmarks.world", "--made", size, "--out", str(out)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(out)
    names = ("candidate rows", "seconds", "CPU-seconds", "candidate rows / CPU-s", "peak resident MB", "MB on disk", "click rate")
    return {f"{size}: {name}": float(value) for name, value in zip(names, said.split(), strict=True)}


def live() -> dict[str, Any]:
    started = time.process_time()
    world = World(SIZES["small"])
    figures: dict[str, Any] = {"small: a world made, CPU-s": round(time.process_time() - started, 2)}
    for name, regret in (("small: a live day, CPU-s", False), ("small: a live day with regret, CPU-s", True)):
        taken = []
        for _ in range(DAYS):
            started = time.process_time()
            world.step(logger_of(world.config), regret=regret)
            taken.append(time.process_time() - started)
        figures[name] = round(statistics.median(taken), 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="small,large")
    parser.add_argument("--made", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.made:
        return make(asked.made, asked.out)
    figures = live()
    with tempfile.TemporaryDirectory(dir=asked.out) as folder:
        for size in asked.sizes.split(","):
            figures |= measured(size, Path(folder))
    record("world", figures)
    return None


if __name__ == "__main__":
    main()
