"""Positions as a learned number added to each score, by the bucketed distance of key and query; T5's, and XLM-E's gated form.

    t5:     b = d[bucket(k - q), h]
    gated:  b = d + g_u·d + (1 - g_u)·w_h·g_r·d,   g_u = σ(q·u), g_r = σ(q·v)

Half of the buckets are one distance each, the other half widen like a logarithm up to `furthest`, beyond which all are one.
Looking both ways, the buckets are halved between left and right. One table serves all layers. Cost O(H Tq Tk), twice that gated,
in every layer, since the gates read the query.
Papers: Raffel et al., JMLR 2020, section 2.1; XLM-E (arXiv 2106.16138), section 2.4, as summarised elsewhere.
"""

import math

import torch
from torch import Tensor, nn

from headrace.nn.parallel.place import Piece


def bucket(distance: Tensor, buckets: int, furthest: int, *, both_ways: bool) -> Tensor:
    """distance: key minus query -> int64 of the same shape, below `buckets`."""
    found = torch.zeros_like(distance)
    if both_ways:
        buckets //= 2
        found = (distance > 0) * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    share = (distance.clamp(min=1).float() / exact).log() / math.log(furthest / exact)
    wide = (exact + (share * (buckets - exact)).long()).clamp(max=buckets - 1)
    return found + torch.where(distance < exact, distance, wide)


class RelativeBias(nn.Module):
    """A `Bias` for `attend`. heads: of the queries."""

    def __init__(self, heads: int, head_dim: int, buckets: int, furthest: int, *, both_ways: bool, gated: bool):
        super().__init__()
        self.pieces: dict[str, Piece] = {}
        self.buckets, self.furthest, self.both_ways, self.gated = buckets, furthest, both_ways, gated
        self.table = nn.Embedding(buckets, heads)
        if gated:
            self.u, self.v = nn.Parameter(torch.zeros(head_dim)), nn.Parameter(torch.zeros(head_dim))
            self.w = nn.Parameter(torch.ones(heads))

    def by_distance(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        """[1, Tq, 1] and [1 | H, 1, Tk] -> [1, H, Tq, Tk]."""
        number = bucket(k_at - q_at, self.buckets, self.furthest, both_ways=self.both_ways)
        if len(number) == 1:
            return torch.embedding(self.table.weight, number).movedim(number.dim(), 1)  # an exporter takes no -1
        head = torch.arange(len(number), device=number.device).view(-1, 1, 1)
        return self.table.weight[number, head][None]

    def forward(self, q: Tensor, by_distance: Tensor) -> Tensor:
        """q [B, H, Tq, d] and `by_distance` of the same queries -> [1 | B, H, Tq, Tk]."""
        if not self.gated:
            return by_distance
        update, reset = (q @ self.u).sigmoid()[..., None], (q @ self.v).sigmoid()[..., None]
        return by_distance * (1 + update + (1 - update) * self.w.view(-1, 1, 1) * reset)
