"""Where the queries and keys of a call stand, shared by all layers, so that masks and biases of positions are made once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


@dataclass(frozen=True)
class Span:
    """Positions start .. start + length - 1, the whole of it `times` over."""

    start: int
    length: int
    times: int = 1

    @property
    def stop(self) -> int:
        return self.start + self.length

    def places(self, device: torch.device) -> Tensor:
        return torch.arange(self.start, self.stop, device=device).repeat(self.times)


class Places:
    """q [1, Tq, 1] and k [1, 1, Tk]: positions as mask rules take them. kept: what was computed from them."""

    def __init__(self, q: Span, k: Span, device: torch.device):
        self.q_span, self.k_span = q, k
        self.q, self.k = q.places(device).view(1, -1, 1), k.places(device).view(1, 1, -1)
        self.kept: dict[object, Tensor | None] = {}

    def once(self, key: object, compute: Callable[[], Tensor | None]) -> Tensor | None:
        if key not in self.kept:
            # A layer may run again for its gradient, and then finds this here: what this needs for its own is kept at once.
            with saved_tensors_hooks(_as_it_is, _as_it_is):
                self.kept[key] = compute()
        return self.kept[key]

    @property
    def aligned(self) -> bool:
        """Whether queries and keys are the same tokens."""
        return self.q_span == self.k_span and self.q_span.times == 1

    @property
    def behind(self) -> bool:
        """Whether no key comes after a query."""
        return self.k_span.stop - 1 <= self.q_span.start


def _as_it_is(saved: Tensor) -> Tensor:
    return saved


class Bias(Protocol):
    """Added to the scores. What positions alone say is computed once for all layers; a gate may then read the queries."""

    def by_distance(self, q_at: Tensor, k_at: Tensor) -> Tensor:
        """Positions as mask rules take them -> [1, H, Tq, Tk]."""
        ...

    def __call__(self, q: Tensor, by_distance: Tensor) -> Tensor: ...
