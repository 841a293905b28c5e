"""Where a benchmark's figures go: benchmarks/results/NAME-DATE-HARDWARE.json."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import headrace

FOLDER = Path(__file__).parent / "results"


def hardware() -> str:
    """Cores and processor, as a file name takes it."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    words = "".join(letter if letter.isalnum() else "-" for letter in model.lower())
    return f"{os.cpu_count()}x-" + "-".join(filter(None, words.split("-")))[:40]


def resident_mb(what: str) -> int:
    """Of this process as the kernel counts it, "VmRSS" now and "VmHWM" at most."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith(what))


def record(name: str, figures: dict[str, Any]) -> Path:
    """figures: name -> value, with units in the names. The load says how much else was running."""
    FOLDER.mkdir(exist_ok=True)
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    path = FOLDER / f"{name}-{date}-{hardware()}.json"
    whole = {
        "name": name, "date": date, "hardware": hardware(), "python": platform.python_version(), "headrace": headrace.__version__,
        "load_1min": round(os.getloadavg()[0], 2), "figures": figures,
    }  # fmt: skip
    path.write_text(json.dumps(whole, indent=1) + "\n")
    for key, value in figures.items():
        print(f"{key:<43} {value}")
    return path
