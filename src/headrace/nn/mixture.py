"""Experts and gates: several towers over one input, and what one reader makes of them.

    mixture = sum_e softmax(W x)_e expert_e

Shapes: x [.., D] -> experts [.., E, k]; a gate reads [.., D] and experts [.., E, k] -> [.., k]. Cost: E towers; a gate D · E.
Every expert is worked out for every row (dense): with a handful of small ones that is
cheaper than to choose.
Paper: Ma et al., KDD 2018 (MMoE).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from headrace.nn.tower import tower


class Experts(nn.Module):
    """size: numbers that the outputs of all experts are, joined."""

    def __init__(self, number: int, width: int, hidden: Sequence[int], dropout: float):
        super().__init__()
        made = [tower(width, hidden, dropout) for _ in range(number)]
        self.experts = nn.ModuleList(one for one, _ in made)
        self.number, self.width = number, made[0][1]
        self.size = number * self.width

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([expert(x) for expert in self.experts], -2)


class Gate(nn.Module):
    def __init__(self, width: int, experts: int):
        super().__init__()
        self.weigh = nn.Linear(width, experts, bias=False)

    def forward(self, x: Tensor, experts: Tensor) -> Tensor:
        shares = self.weigh(x).softmax(-1)
        mixture: Tensor = (shares.unsqueeze(-1) * experts).sum(-2)
        return mixture
