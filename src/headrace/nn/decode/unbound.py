"""A tree that forbids nothing: every sequence of codes is a path in it, whether an item has it or not.

    number of codes c_1 .. c_L = ((c_1 · sizes[1] + c_2) · sizes[2] + c_3) ..

It is what a search without constraint goes through, to measure how many of a model's most probable codes are no item's. Nodes are
worked out, not kept. Cost O(symbols) a beam and level.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from headrace.contracts.requests import Int64


class Unbound:
    """A `CodeTree` whose "items" are numbers of code sequences plus one, since 0 is no answer."""

    def __init__(self, sizes: Sequence[int]):
        self.sizes, self.levels = tuple(sizes), len(sizes)
        self.paths: Int64 = np.zeros((0, self.levels), np.int64)

    def __len__(self) -> int:
        return int(np.prod(self.sizes, dtype=np.int64))

    def root(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int64)

    def children(self, nodes: Tensor, level: int) -> Tensor:
        """[..] -> [.., sizes[level]]."""
        return nodes.unsqueeze(-1) * self.sizes[level] + torch.arange(self.sizes[level], device=nodes.device)

    def item(self, nodes: Tensor) -> Tensor:
        return nodes + 1

    def number(self, codes: Tensor) -> Tensor:
        """[.., levels] -> [..]: what `item` gives for their path."""
        nodes = torch.zeros_like(codes[..., 0])
        for level, size in enumerate(self.sizes):
            nodes = nodes * size + codes[..., level]
        return nodes + 1
