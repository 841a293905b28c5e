"""S2-Attention's block-sparse pattern: all heads see the newest blocks, and each keeps its own share of the older ones.

    key/value head h, query block i, key block j <= i:   allowed  iff  i - j < local  or  (j + h·step) mod stride = 0
    step = max(1, stride // heads)

The kept columns are absolute: a key block is kept for ever or dropped after the window, so a head's cache holds about
local·block + T/stride keys. Query heads that share a key/value head share its pattern. Together the heads must keep every block:
the residues h·step mod stride have to be all of 0 .. stride - 1, which is checked.
Shapes: heads H, n blocks -> bool [H, n, n]. Fewer scores by `density`, at the same loss where some layers stay dense.
Paper: S2-Attention (arXiv 2407.17678), section 3, and its released kernels; which layers stay dense is our reading.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from headrace.contracts.errors import ConfigError


@dataclass(frozen=True)
class BlockPattern:
    """block: tokens. local: blocks, a query's own among them. heads: key/value heads. alike: every head keeps the first one's
    share (the control that shows what sharing out is worth; older blocks are then lost, by intent)."""

    block: int
    local: int
    stride: int
    heads: int
    alike: bool = False

    def __post_init__(self) -> None:
        for name in ("block", "local", "stride", "heads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"block pattern: {name} is {getattr(self, name)}: it must be 1 or more.")
        kept = {head * self.step % self.stride for head in range(self.heads)}
        if not self.alike and len(kept) < self.stride:
            raise ConfigError(
                f"block pattern: stride is {self.stride} and heads (key/value) {self.heads}: {self.stride - len(kept)} of "
                f"{self.stride} older blocks would be kept by no head. Take a stride of at most {self.heads}, or more heads."
            )

    @property
    def step(self) -> int:
        return max(1, self.stride // self.heads)

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        """Block numbers that broadcast to [1 | H, ..] -> bool [H, ..]; heads: of the queries, a multiple of the pattern's."""
        return self.sees(q, k, self.shards(heads, q.device).view(-1, *[1] * (q.dim() - 1)))

    def shards(self, heads: int, device: torch.device | None = None) -> Tensor:
        """[H]: h·step of each query head's key/value head."""
        head = torch.arange(heads, device=device) // (heads // self.heads)
        return head * 0 if self.alike else head * self.step

    def sees(self, q: Tensor, k: Tensor, shard: Tensor) -> Tensor:
        return (k <= q) & ((q - k < self.local) | ((k + shard) % self.stride == 0))

    def density(self, length: int) -> float:
        """Share of a causal mask's blocks that are kept, over heads."""
        n = -(-length // self.block)
        number = torch.arange(n)
        kept = self.allowed(number.view(1, n, 1), number.view(1, 1, n), self.heads)
        return float(kept.sum() / (self.heads * n * (n + 1) // 2))
