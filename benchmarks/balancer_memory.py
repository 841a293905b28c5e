"""Peak memory of a step with 2, 4 and 8 tasks: each balancer over the summed loss, and TorchJD where it is installed.

    OMP_NUM_THREADS=1 python -m benchmarks.balancer_memory [--tasks 2 4 8]

The model of `benchmarks.balancers` with a tower of 2,048, 2,048, 2,048, 128 (9 million parameters, 34 MB), Adam, batch 512; four
steps. Each case is a process of its own; "over_equal_mb" is its largest resident size less that of the summed loss at as many
tasks.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

from benchmarks.balancers import Timed, ours, theirs
from benchmarks.record import record, resident_mb

TOWER, STEPS = (2048, 2048, 2048, 128), 4
CASES = ("equal", "uncertainty", "multibalance", "mgda", "famo", "marigold", "multibalance, at theta", "mgda, at theta")


def peak_mb(name: str, tasks: int) -> int:
    """Of this process."""
    made = Timed(tasks, theirs()[name] if name in theirs() else ours(name), TOWER)
    for _ in range(STEPS):
        made.step()
    return resident_mb("VmHWM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--case")
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(peak_mb(asked.case, asked.tasks[0])))
        return
    figures: dict[str, Any] = {}
    for tasks in asked.tasks:
        for name in (*CASES, *theirs()):
            command = [sys.executable, "-m", "benchmarks.balancer_memory", "--tasks", str(tasks), "--case", name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures[f"{tasks} tasks, {name}, peak_mb"] = json.loads(done.stdout.strip().splitlines()[-1])
        least = figures[f"{tasks} tasks, equal, peak_mb"]
        for name in (*CASES, *theirs()):
            figures[f"{tasks} tasks, {name}, over_equal_mb"] = figures[f"{tasks} tasks, {name}, peak_mb"] - least
    record("balancer_memory", figures)


if __name__ == "__main__":
    main()
