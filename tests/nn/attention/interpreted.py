"""Run by itself with TRITON_INTERPRET=1: the kernels on a CPU against the dense mask, printed as the largest differences."""

import json
import sys
from typing import Any

import torch
from torch import Tensor

from headrace.nn.attention.attend import Backend, attend
from headrace.nn.attention.masks import BlockSparse, Causal, MaskSpec
from headrace.nn.attention.patterns import BlockPattern

CASES = {
    "grouped heads, merged blocks, an odd length": (BlockPattern(16, 1, 2, 2), 2, 70, 8),
    "one block, one head": (BlockPattern(16, 1, 1, 1), 1, 3, 16),
    "a tile is a block, a width that is no power of two": (BlockPattern(64, 1, 2, 2), 1, 150, 24),
    "alike": (BlockPattern(32, 1, 3, 1, alike=True), 2, 129, 16),
}


def both(pattern: BlockPattern, group: int, length: int, width: int) -> dict[str, float]:
    """float32: one part in 10⁵ is what sums of this length differ by."""
    found: list[dict[str, Any]] = []
    backends: tuple[Backend, ...] = ("dense", "triton")
    for backend in backends:
        draw = torch.Generator().manual_seed(length)
        q, k, v = (
            torch.randn(2, heads, length, width, generator=draw).requires_grad_()
            for heads in (pattern.heads * group, pattern.heads, pattern.heads)
        )
        out, lse = attend(q, k, v, MaskSpec(Causal(), BlockSparse(pattern)), need_lse=True, backend=backend)
        assert lse is not None
        loss: Tensor = out.sin().sum() + lse.cos().sum()
        loss.backward()
        found.append({"out": out.detach(), "lse": lse.detach(), "q": q.grad, "k": k.grad, "v": v.grad})
    dense, ours = found
    return {name: float((dense[name] - ours[name]).abs().max()) for name in dense}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: both(*case) for name, case in CASES.items()}))
