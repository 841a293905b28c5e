"""CPU seconds of the imports and commands a user waits for, each in a fresh process, median of seven."""

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.record import record

HEADRACE = str(Path(sys.executable).parent / "headrace")
COMMANDS = {
    "python alone": [sys.executable, "-c", "pass"],
    "import headrace": [sys.executable, "-c", "import headrace"],
    "import headrace.contracts.seams": [sys.executable, "-c", "import headrace.contracts.seams"],
    "headrace --help": [HEADRACE, "--help"],
    "import torch (not ours)": [sys.executable, "-c", "import torch"],
}


def cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    figures = {
        f"{name}, cpu_s": round(statistics.median(cpu_s(command) for _ in range(7)), 3) for name, command in COMMANDS.items()
    }
    record("imports", figures)


if __name__ == "__main__":
    main()
