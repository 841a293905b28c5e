"""The flywheel in the small world: CPU seconds and wall time of one build, and of five generations with one broken on purpose.

    python -m benchmarks.flying

There is no peer: nothing else that can be installed turns this wheel. The child's CPU seconds are counted, imports included.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter

from benchmarks.record import record

HEADRACE = Path(sys.executable).parent / "headrace"


def timed(*words: str, cwd: Path) -> dict[str, float]:
    """Wall and CPU seconds of one command, with what it says at its end."""
    before, started = getrusage(RUSAGE_CHILDREN), perf_counter()
    subprocess.run([HEADRACE, *words], cwd=cwd, check=True, capture_output=True)
    after = getrusage(RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(perf_counter() - started, 1), "cpu_s": round(cpu_s, 1), "peak_mb": round(after.ru_maxrss / 1024)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        made = timed("world", "make", "small", "--out", "shop", cwd=there)
        built = timed("build", "shop/shop.toml", "--out", "built", cwd=there)
        flown = timed("fly", "world", "--generations", "5", "--drill", "3", "--out", "flown", cwd=there)
        record("flying", {"world make small": made, "build of it": built, "fly, 5 generations, one a drill": flown})


if __name__ == "__main__":
    main()
