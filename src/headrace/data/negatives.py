"""Samplers of negatives: which items a positive is compared with, and how likely each was, so that a loss can correct for it.

A sampler is `sample(shape, draw) -> items` and `log_q(items) -> log of the chance that one draw gives the item` (-inf where it
can't). It holds no state: `draw` is the generator of the step. Item 0 (unknown) is never drawn.
Uniform negatives are easy and unbiased in no one's favour; popular ones are harder; in-batch ones cost nothing more.
"""

from typing import Protocol

import torch
from torch import Tensor


class NegativeSampler(Protocol):
    def sample(self, shape: tuple[int, ...], draw: torch.Generator) -> Tensor: ...
    def log_q(self, items: Tensor) -> Tensor: ...


class Uniform:
    """Every item alike."""

    def __init__(self, n_items: int):
        self.n_items = n_items

    def sample(self, shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
        return torch.randint(1, self.n_items, shape, generator=draw, device=draw.device)

    def log_q(self, items: Tensor) -> Tensor:
        chance = torch.full(items.shape, 1 / (self.n_items - 1), device=items.device)
        return chance.where(items > 0, 0.0).log()


class Popular:
    """q ∝ count^alpha: alpha 0 is uniform over what was chosen at all, 1 as often as chosen, 0.75 word2vec's.

    counts [n_items]. Cost O(log n_items) a draw.
    """

    def __init__(self, counts: Tensor, alpha: float):
        weight = counts.double().pow(alpha).where(counts > 0, 0.0)
        weight[0] = 0.0
        self.until = weight.cumsum(0) / weight.sum()
        self.logs = (weight / weight.sum()).log().float()

    def sample(self, shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
        drawn = torch.rand(shape, generator=draw, device=draw.device, dtype=torch.float64)
        # right: a draw of exactly 0 must not fall on item 0, whose share is empty
        return torch.searchsorted(self.until.to(draw.device), drawn, right=True)

    def log_q(self, items: Tensor) -> Tensor:
        return self.logs.to(items.device)[items]


class InBatch:
    """The positives of other rows. A row is an event drawn at random, so an item comes as often as it was chosen.

    positives [events]: the items a batch is drawn from.
    """

    def __init__(self, positives: Tensor, n_items: int):
        self.positives = positives[positives > 0]
        self.logs = (torch.bincount(self.positives, minlength=n_items).double() / len(self.positives)).log().float()

    def sample(self, shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
        rows = torch.randint(len(self.positives), shape, generator=draw, device=draw.device)
        return self.positives.to(draw.device)[rows]

    def log_q(self, items: Tensor) -> Tensor:
        return self.logs.to(items.device)[items]
