"""Where tensor ranks meet: the two sums around a cut sub-layer, and what else goes over all ranks and back.

    entering (f):   forward x,                    backward Σ_r ∂x_r          before a map cut by columns
    leaving (g):    forward Σ_r x_r,              backward ∂x                behind a map cut by rows
    gathered:       forward [x_0, x_1, ...],      backward the rank's own    along the last axis

Behind `leaving` all ranks compute alike, in the same bits, so that what is not cut stays the same on all of them. One all-reduce
forward and one backward a sub-layer. Paper: MT-NLG (arXiv 2201.11990) for the layout, as summarised elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, distributed

from headrace.nn.parallel.place import Place


class _Entering(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return _summed(slope, ctx.group), None


class _Leaving(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        return _summed(x, group)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope, None


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: list[int], dim: int, rank: int, group: Any) -> Tensor:
        ctx.sizes, ctx.dim, ctx.rank = sizes, dim, rank
        return torch.cat(pieces_of_all(x, sizes, dim, group), dim)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None, None, None]:
        return torch.split(slope, ctx.sizes, ctx.dim)[ctx.rank], None, None, None, None


def entering(x: Tensor, place: Place) -> Tensor:
    return cast(Tensor, _Entering.apply(x, place.group))  # type: ignore[no-untyped-call]


def leaving(x: Tensor, place: Place) -> Tensor:
    return cast(Tensor, _Leaving.apply(x, place.group))  # type: ignore[no-untyped-call]


def gathered(x: Tensor, sizes: list[int], dim: int, place: Place) -> Tensor:
    """sizes: of every rank's part along dim, which counts from the front."""
    return cast(Tensor, _Gathered.apply(x, sizes, dim, place.tensor, place.group))  # type: ignore[no-untyped-call]


def pieces_of_all(x: Tensor, sizes: list[int], dim: int, group: Any) -> list[Tensor]:
    """Every rank's; padded on the way to one size, which gloo asks for."""
    most = max(sizes)
    padded = x.new_zeros((*x.shape[:dim], most, *x.shape[dim + 1 :]))
    padded.narrow(dim, 0, x.shape[dim]).copy_(x)
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded, group=group)
    return [part.narrow(dim, 0, size) for part, size in zip(parts, sizes, strict=True)]


def largest(x: Tensor, place: Place) -> Tensor:
    """Without a gradient."""
    found = x.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(found, distributed.ReduceOp.MAX, group=place.group)
    return found


@contextmanager
def drawn_apart(place: Place) -> Iterator[None]:
    """Inside, each tensor rank draws for itself, as for the heads it alone has; behind it they draw alike again."""
    number = int(torch.randint(2**48, ()))
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(number + place.tensor)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


def _summed(x: Tensor, group: Any) -> Tensor:
    total = x.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total, group=group)
    return total
