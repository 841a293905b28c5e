"""Memory and a step's time of large embedding tables: 10 million hashed rows, 16 numbers each, 4096 x 39 look-ups a step.

    OMP_NUM_THREADS=1 python -m benchmarks.tables [--rows 10000000] [--steps 10]

Each case is a process of its own, so that its peak is its own: row-wise Adagrad on sparse gradients, Adam and AdamW (fused) on
dense ones, and torch's SparseAdam, which keeps Adam's two moments and moves seen rows alone. A step is look-up, a product with
fixed numbers, backward, optimizer; ids fall as Zipf's law has it over 100 million. State as `optim.state_bytes` counts it; "peak"
is the process's largest resident size, of which Python and torch are "before". CPU seconds, one thread, the median step.
"""

import argparse
import json
import os
import subprocess
import sys

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from benchmarks.record import record, resident_mb
from headrace.nn.tables import HashedEmbedding
from headrace.optim.rowwise import RowWise
from headrace.optim.state import state_bytes

DIM, LOOKS, IDS = 16, 4096 * 39, 100_000_000
Make = Callable[[Tensor], Optimizer]
CASES: dict[str, tuple[bool, Make]] = {
    "rowwise": (True, lambda weight: RowWise([weight], 0.01)),
    "sparse adam": (True, lambda weight: torch.optim.SparseAdam([weight], 0.001)),
    "adamw, fused": (False, lambda weight: torch.optim.AdamW([weight], 0.001, fused=True)),
    "adam": (False, lambda weight: torch.optim.Adam([weight], 0.001)),
}


def measured(name: str, rows: int, steps: int) -> dict[str, Any]:
    """One case, in this process."""
    torch.set_num_threads(1)
    sparse, make = CASES[name]
    before = resident_mb("VmRSS")
    table = HashedEmbedding(rows, DIM, sparse=sparse)
    optimizer, draw, taken = make(table.weight), torch.Generator().manual_seed(0), list[float]()
    times = torch.randn(LOOKS, DIM, generator=draw)
    for _ in range(steps):
        ids = (float(IDS) ** torch.rand(LOOKS, generator=draw, dtype=torch.float64)).long()
        started = time.process_time()
        optimizer.zero_grad()
        (table(ids) * times).sum().backward()
        optimizer.step()
        taken.append(time.process_time() - started)
    weights_mb, state_mb = table.weight.numel() * 4 // 2**20, round(state_bytes(optimizer) / 2**20, 1)
    return {
        "before_mb": before, "weights_mb": weights_mb, "state_mb": state_mb,
        "peak_mb": resident_mb("VmHWM"), "step_ms": round(1e3 * statistics.median(taken[1:]), 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--case", choices=list(CASES))
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(measured(asked.case, asked.rows, asked.steps)))
        return
    figures: dict[str, Any] = {"rows": asked.rows, "dim": DIM, "look-ups a step": LOOKS}
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.tables", "--rows", str(asked.rows), "--steps", str(asked.steps)]
        done = subprocess.run([*command, "--case", name], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        figures |= {f"{name}, {key}": value for key, value in found.items()}
    record("tables", figures)


if __name__ == "__main__":
    main()
