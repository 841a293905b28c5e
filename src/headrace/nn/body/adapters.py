"""Small maps that are trained beside a body that stays: each has a name, and each row of a batch takes one or none.

    lora:        y + (α/r)·B A x,                 B = 0 at first
    bottleneck:  y + α/r·U relu(D y),             U = 0 at first

So an adapter changes nothing until it is trained, and rows that take none stay as they are bit for bit. They are not merged into
the weights: one batch serves several. Attention's queries, keys and values share one A. Cost O(T d r) a map.
Papers: LoRA (arXiv 2106.09685); Houlsby et al., ICML 2019; chosen by the input's kind as in Phi-4-Multimodal (arXiv 2503.01743).
"""

import math

import torch
from torch import Tensor, nn

from headrace.nn.body.config import TransformerConfig


class Lora(nn.Module):
    def __init__(self, inputs: int, outputs: int, rank: int, alpha: float):
        super().__init__()
        self.scale = alpha / rank
        self.a, self.b = nn.Parameter(torch.empty(rank, inputs)), nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.a.T) @ self.b.T * self.scale


class Bottleneck(nn.Module):
    def __init__(self, dim: int, rank: int, alpha: float):
        super().__init__()
        self.scale = alpha / rank
        self.down, self.up = nn.Linear(dim, rank), nn.Linear(rank, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, y: Tensor) -> Tensor:
        added: Tensor = self.up(self.down(y).relu()) * self.scale
        return added


class Bottlenecks(nn.Module):
    """Behind a sub-layer: all of the config's bottlenecks."""

    def __init__(self, of: TransformerConfig):
        super().__init__()
        self.named, self.numbers = nn.ModuleDict(), {}
        for number, adapter in enumerate(of.adapters, 1):
            if adapter.kind == "bottleneck":
                self.named[adapter.name] = Bottleneck(of.dim, adapter.rank, adapter.alpha)
                self.numbers[adapter.name] = number

    def forward(self, y: Tensor, adapter: Tensor | None) -> Tensor:
        """y [B, T, d], adapter [B]."""
        if adapter is None:
            return y
        for name, bottleneck in self.named.items():
            rows = rows_of(adapter, self.numbers[name])
            if len(rows):
                y = y.index_add(0, rows, bottleneck(y[rows]))
        return y


def rows_of(adapter: Tensor, number: int) -> Tensor:
    return (adapter == number).nonzero().view(-1)
