"""States and codes of a few rows, for losses over codes."""

import torch

SIZES = (5, 7, 3)


def vectors(d=4, dtype=torch.float32):
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(size, d, generator=draw).to(dtype) for size in SIZES]


def rows(n=6, d=4):
    draw = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.randint(size, (n,), generator=draw) for size in SIZES], 1)
    return torch.randn(n, len(SIZES), d, generator=draw), codes, torch.arange(n) % 3 > 0
