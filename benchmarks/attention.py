"""Attention that skips blocks against torch's dense causal kernel: one row, 8 heads, forward and with gradients.

    python -m benchmarks.attention [--rounds 7]

On a CPU: CPU seconds of one thread and of two, of what `attend` takes for such a mask ("gathered"), for rows of 512 to 4,096
tokens. A ratio is the dense kernel's time over ours, the median over alternating rounds: above 1, ours is faster. `ideal` is the
dense kernel's blocks over the kept ones: what would be had if only scores cost anything. The last rows add a mask of documents:
both sides then need a mask a pair, and blocks are gathered in tiles.
On a GPU, where there is one: elapsed time in bfloat16 of the Triton kernels against scaled_dot_product_attention, 8,192 to
131,072 tokens, and the largest difference from the dense mask at 8,192.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import record
from headrace.nn.attention.attend import Backend, attend
from headrace.nn.attention.masks import BlockSparse, Causal, Documents, MaskSpec, Window
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.seeded import seeded

HEADS = 8
CAUSAL = MaskSpec(Causal())
PATTERNS = {
    "block 32, local 4, stride 4": BlockPattern(32, 4, 4, HEADS),
    "block 64, local 4, stride 8": BlockPattern(64, 4, 8, HEADS),
}
LENGTHS, ON_GPU = (512, 1024, 2048, 4096), (8192, 32768, 131072)

Work = Callable[..., Tensor]


def mixed(q: Tensor, k: Tensor, v: Tensor, mask: MaskSpec = CAUSAL, backend: Backend = "dense") -> Tensor:
    return attend(q, k, v, mask, backend=backend)[0]


def drawn(length: int, head_dim: int) -> list[Tensor]:
    """Queries, keys, values and a gradient of what comes of them."""
    with seeded(0, "benchmark"):
        return list(torch.randn(4, 1, HEADS, length, head_dim))


def forward(work: Work, parts: list[Tensor]) -> None:
    with torch.inference_mode():
        work(*parts[:3])


def with_gradients(work: Work, parts: list[Tensor]) -> None:
    work(*(part.clone().requires_grad_() for part in parts[:3])).backward(parts[3])


WAYS = {"forward": forward, "with gradients": with_gradients}


def cpu_s(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def gpu_s(work: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def compared(
    clock: Callable[[Callable[[], Any]], float], arms: dict[str, Work], parts: list[Tensor], where: str, rounds: int
) -> dict[str, float]:
    """Rounds in turn, of which the first warms up and plans. The first arm is what the others are measured against."""
    figures: dict[str, float] = {}
    dense, *others = arms
    for way, run in WAYS.items():
        seconds: dict[str, list[float]] = {name: [] for name in arms}
        for round in range(rounds + 1):
            for name, work in arms.items():
                took = clock(partial(run, work, parts))
                if round:
                    seconds[name].append(took)
        figures[f"{where}, {way}, {dense}, s"] = round_to(statistics.median(seconds[dense]))
        for name in others:
            ratios = [theirs / ours for theirs, ours in zip(seconds[dense], seconds[name], strict=True)]
            figures[f"{where}, {way}, {name}, dense / ours"] = round_to(statistics.median(ratios))
    return figures


def round_to(value: float) -> float:
    return round(value, 5) if value < 1 else round(value, 2)


def on_cpu(rounds: int, threads: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    figures: dict[str, Any] = {}
    masks = {name: CAUSAL & BlockSparse(pattern) for name, pattern in PATTERNS.items()} | {"window 256": CAUSAL & Window(256)}
    for length in LENGTHS:
        for head_dim in (32, 64):
            parts, where = drawn(length, head_dim), f"{threads} thread{'s' * (threads > 1)}, {length} tokens, head of {head_dim}"
            arms: dict[str, Work] = {"dense": mixed}
            arms |= {name: partial(mixed, mask=mask, backend="gathered") for name, mask in masks.items()}
            figures |= compared(cpu_s, arms, parts, where, rounds)
        if threads == 1 and length in (1024, 4096):
            documents = Documents(torch.zeros(1, length, dtype=torch.long))
            arms = {"dense": partial(mixed, mask=CAUSAL & documents)}
            arms |= {name: partial(mixed, mask=mask & documents, backend="gathered") for name, mask in masks.items()}
            figures |= compared(cpu_s, arms, drawn(length, 64), f"{where}, documents", rounds)
    return figures


def on_gpu(rounds: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"gpu": torch.cuda.get_device_name()}
    masks = {name: CAUSAL & BlockSparse(pattern) for name, pattern in PATTERNS.items()}
    for length in ON_GPU:
        parts = [part.to("cuda", torch.bfloat16) for part in drawn(length, 64)]
        arms: dict[str, Work] = {"dense": mixed}
        arms |= {name: partial(mixed, mask=mask, backend="triton") for name, mask in masks.items()}
        figures |= compared(gpu_s, arms, parts, f"gpu, {length} tokens, head of 64", rounds)
        if length == min(ON_GPU):
            for name, mask in masks.items():
                difference = mixed(parts[0], parts[1], parts[2], mask) - arms[name](*parts[:3])
                figures[f"gpu, {length} tokens, {name}, largest difference"] = float(difference.abs().max())
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    figures: dict[str, Any] = {"rounds": asked.rounds, "torch": torch.__version__}
    for name, pattern in PATTERNS.items():
        for length in LENGTHS:
            figures[f"{length} tokens, {name}, ideal"] = round(1 / pattern.density(length), 2)
    for threads in (1, 2):
        figures |= on_cpu(asked.rounds, threads)
    figures |= on_gpu(asked.rounds) if torch.cuda.is_available() else {"gpu": "not run"}
    record("attention", figures)


if __name__ == "__main__":
    main()
