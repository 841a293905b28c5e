"""Positions that are added to a token's vector: a learned table, or the sinusoids of the first Transformer.

    sin: p[n, 2i] = sin(n / base^(2i/d)),  p[n, 2i+1] = cos(n / base^(2i/d))

Cost O(T d). A table ends where it ends: a longer row is an error. Sinusoids go on, yet nothing was trained there.
Paper: Vaswani et al., NeurIPS 2017, section 3.5.
"""

import torch
from torch import Tensor, nn

from headrace.contracts.errors import DataError


class Learned(nn.Module):
    """weight [length, d]."""

    def __init__(self, length: int, dim: int):
        super().__init__()
        self.table = nn.Embedding(length, dim)

    def forward(self, x: Tensor, start: int) -> Tensor:
        """[B, T, d] at positions start .. start + T - 1 -> [B, T, d]."""
        stop = start + x.shape[1]
        if stop > self.table.num_embeddings:
            raise DataError(
                f"A row of {stop} tokens came to a learned table of {self.table.num_embeddings} positions. Cut it to its newest "
                f"{self.table.num_embeddings}, raise `length` and train again, or take another position (rope, xpos, t5)."
            )
        found: Tensor = x + self.table(torch.arange(start, stop, device=x.device))
        return found


class Sinusoidal(nn.Module):
    def __init__(self, dim: int, base: float = 10_000.0):
        super().__init__()
        self.dim, self.base = dim, base

    def forward(self, x: Tensor, start: int) -> Tensor:
        """As `Learned`."""
        at = torch.arange(start, start + x.shape[1], device=x.device, dtype=torch.float32)
        angles = at[:, None] / self.base ** (torch.arange(0, self.dim, 2, device=x.device) / self.dim)
        added = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, : self.dim]
        return x + added.to(x.dtype)
