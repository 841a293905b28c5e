"""Positions by turning queries and keys: RoPE, on all or part of a head, with LongRoPE's factors, and xPos.

    θ_i = base^(-2i/r) / λ_i,   q̃_n = turn(q, nθ)·ζ^(n/s),   k̃_m = turn(k, mθ)·ζ^(-m/s)

r: dimensions that turn; the rest carry no position. The score hangs on n - m alone. RoPE: ζ = 1. xPos: ζ_i = (2i/r + 0.4)/1.4,
so that a far key counts less, most of all in the fast dimensions; it is for causal attention. Dimension i is paired with
i + r/2, which is the papers' adjacent pairing up to the order of a head's dimensions.
LongRoPE: rows up to the trained length L use the short factors λ, longer ones the long factors, and queries and keys are always
√(1 + ln(longest/L)/ln L) times as large, for the longest row that is aimed at. A cache says beforehand how long it may grow, so
that it never changes factors.
ζ's powers are counted from the middle of the extent, in float32: they stay in range where counted from 0 they would not.
Cost O(T d). Papers: Su et al. 2021; LongRoPE (arXiv 2402.13753); xPos, LeX (arXiv 2212.10554), section 2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ZETA = 0.4


@dataclass(frozen=True)
class Turn:
    """cos and sin [extent, r/2] of queries and keys, each times its power of ζ."""

    q: tuple[Tensor, Tensor]
    k: tuple[Tensor, Tensor]

    def queries(self, x: Tensor, start: int) -> Tensor:
        """[B, H, T, d] at positions start .. start + T - 1."""
        return _turn(x, start, *self.q)

    def keys(self, x: Tensor, start: int) -> Tensor:
        return _turn(x, start, *self.k)


class Rotary(nn.Module):
    """dims: r, an even number. decay: xPos's s, or 0 for none. trained, longest: of LongRoPE, where there are long factors."""

    def __init__(
        self, dims: int, base: float = 10_000.0, *, decay: float = 0.0, short: tuple[float, ...] = (),
        long: tuple[float, ...] = (), trained: int = 0, longest: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.dims, self.base, self.decay = dims, base, decay
        self.short, self.long, self.trained = short, long, trained
        self.size = math.sqrt(1 + math.log(longest / trained) / math.log(trained)) if long else 1.0

    def forward(self, extent: int, device: torch.device) -> Turn:
        """extent: how many positions there are, or may come to be."""
        half = torch.arange(self.dims // 2, device=device, dtype=torch.float32)
        at = torch.arange(extent, device=device, dtype=torch.float32)[:, None]
        theta = self.base ** (-2 * half / self.dims)
        if self.long and extent > self.trained:
            theta = theta / theta.new_tensor(self.long)
        elif self.short:
            theta = theta / theta.new_tensor(self.short)
        cos, sin = (at * theta).cos() * self.size, (at * theta).sin() * self.size
        if not self.decay:
            return Turn((cos, sin), (cos, sin))
        zeta = zetas(self.dims).to(device) ** ((at - extent // 2) / self.decay)
        return Turn((cos * zeta, sin * zeta), (cos / zeta, sin / zeta))


def zetas(dims: int) -> Tensor:
    """[r/2]: from 0.2857 up to 1."""
    return (2 * torch.arange(dims // 2, dtype=torch.float32) / dims + ZETA) / (1 + ZETA)


def _turn(x: Tensor, start: int, cos: Tensor, sin: Tensor) -> Tensor:
    half = cos.shape[1]
    cos, sin = cos[start : start + x.shape[2]], sin[start : start + x.shape[2]]
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    first, second = wide[..., :half], wide[..., half : 2 * half]
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x.dtype)
    return turned if 2 * half == x.shape[-1] else torch.cat([turned, x[..., 2 * half :]], -1)
