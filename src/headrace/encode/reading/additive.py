"""Additive attention: many vectors as one, each weighed by what it says itself.

    a_l = q · tanh(V x_l + v),      pooled = sum over l of softmax(a)_l x_l

Shapes: x [.., L, d], there [.., L] -> [.., d], zeros where nothing is there. Cost O(L d hidden). One vector keeps one
theme: where a user has several, `poly` keeps one for each of several codes. Paper: NAML (Wu et al., IJCAI 2019) pools with it.
"""

import torch
from torch import Tensor, nn


class AdditiveAttention(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.inside, self.query = nn.Linear(dim, hidden), nn.Linear(hidden, 1, bias=False)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        a = self.query(self.inside(x).tanh()).squeeze(-1)
        weights = a.masked_fill(~there, torch.finfo(a.dtype).min).softmax(-1) * there
        found: Tensor = (weights.unsqueeze(-2) @ x).squeeze(-2)
        return found
