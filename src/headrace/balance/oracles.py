"""What a balancer may see of m losses before it weighs them, and the backward that follows. An oracle knows no solver.

    oracle(losses, shared)  ->  Look(gram [m, m], descend);   gram_ij = <g_i, g_j>,   descend(w) leaves sum_i w_i g_i in .grad
    oracle.unlooked(losses, shared)  ->  Look(None, descend), the same descent, for weights that need no products

Shared: g_i is the gradient at the representation z the losses have in common, [B, ..]. m backwards through the heads, which
together have the joint one's products, then one through the body. Beside the summed loss: m² / 2 products of size z. Where some
loss also reaches the body past z, the body's gradient is that of the weighted losses, for one more backward through the heads.
Theta: g_i is the gradient at the parameters that two losses or more hang on. m whole backwards, m copies of those gradients.
Unlooked: one backward of the weighted sum, whatever m; a head's gradient is divided by its weight again where it keeps its own.
Unseen: no gradients before the weights, ever; what a solver needs it has from the losses.
Heads: a parameter of one loss alone gets that loss's own gradient, once ("own"), or times the loss's weight ("weighted").
A weight of None leaves a loss out altogether, so that what is no number in it touches nothing.
Paper: MultiBalance, arXiv 2411.11871, and MGDA-UB for the gradients at z; that heads keep their own is our reading.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import get_total_norm

from headrace.balance.leaves import leaves
from headrace.contracts.errors import ConfigError

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Heads = Literal["own", "weighted"]
Weights = Sequence[float | None]


@dataclass(frozen=True)
class Look:
    """gram: a row and column that is no number where a gradient is none; None from an oracle that saw no gradients."""

    gram: Matrix | None
    descend: Callable[[Weights], None]


class Oracle(Protocol):
    def __call__(self, losses: Sequence[Tensor], shared: Tensor | None) -> Look: ...
    def unlooked(self, losses: Sequence[Tensor], shared: Tensor | None) -> Look: ...


class Unseen:
    def __call__(self, losses: Sequence[Tensor], shared: Tensor | None) -> Look:
        return Look(None, lambda weights: _sum(losses, weights).backward())  # type: ignore[no-untyped-call]

    unlooked = __call__


@dataclass(frozen=True)
class Theta:
    heads: Heads = "own"

    def __call__(self, losses: Sequence[Tensor], shared: Tensor | None) -> Look:
        common, own = _common(losses)
        split = [_gradients(loss, [*common, *mine]) for loss, mine in zip(losses, own, strict=True)]
        rows = [torch.cat([g.flatten() for g in some[: len(common)]] or [losses[0].new_zeros(1)]) for some in split]
        apart = [some[len(common) :] for some in split]
        gram = _gram(rows, apart)

        def descend(weights: Weights) -> None:
            total = _total(rows, weights)
            for one, part in zip(common, torch.split(total, [one.numel() for one in common]) if common else (), strict=True):
                _add(one, part.view_as(one))
            _descend_heads(own, apart, weights, self.heads)

        return Look(gram, descend)

    def unlooked(self, losses: Sequence[Tensor], shared: Tensor | None) -> Look:
        return Look(None, lambda weights: _descend_at_once(losses, _common(losses)[1], weights, self.heads))


@dataclass(frozen=True)
class Shared:
    heads: Heads = "own"

    def __call__(self, losses: Sequence[Tensor], shared: Tensor | None) -> Look:
        z = _in_common(shared)
        body, own, past = _behind(losses, z)
        split = [_gradients(loss, [z, *mine]) for loss, mine in zip(losses, own, strict=True)]
        rows, apart = [some[0] for some in split], [some[1:] for some in split]
        gram = _gram([row.flatten() for row in rows], apart)
        if not gram.any() and not any(_reaches(loss, z) for loss in losses):
            raise ConfigError(
                "No loss is computed from the representation that its objective names as `shared`, so none has a gradient there. "
                'Mend the objective, or set train.balancer_settings.oracle = "theta".'
            )

        def descend(weights: Weights) -> None:
            _descend_heads(own, apart, weights, self.heads)
            if past:
                torch.autograd.backward(_sum(losses, weights), inputs=body)
                return
            z.backward(_total(rows, weights))  # type: ignore[no-untyped-call]

        return Look(gram, descend)

    def unlooked(self, losses: Sequence[Tensor], shared: Tensor | None) -> Look:
        z = _in_common(shared)
        return Look(None, lambda weights: _descend_at_once(losses, _behind(losses, z)[1], weights, self.heads))


def _common(losses: Sequence[Tensor]) -> tuple[list[Tensor], list[list[Tensor]]]:
    """The parameters that two losses or more hang on, and each loss's own."""
    reached = [leaves(loss) for loss in losses]
    by = [{id(one) for one in some} for some in reached]
    every = {id(one): one for some in reached for one in some}
    common = [one for key, one in every.items() if sum(key in some for some in by) > 1]
    inside = {id(one) for one in common}
    return common, [[one for one in some if id(one) not in inside] for some in reached]


def _behind(losses: Sequence[Tensor], z: Tensor) -> tuple[list[Tensor], list[list[Tensor]], bool]:
    """The parameters below z, each loss's behind it, and whether a loss also reaches the body past z."""
    body = leaves(z)
    inside = {id(one) for one in body}
    ways = [leaves(loss, upto=z) for loss in losses]
    past = any(id(one) in inside for some in ways for one in some)
    return body, [[one for one in some if id(one) not in inside] for some in ways], past


def _in_common(shared: Tensor | None) -> Tensor:
    if shared is not None and shared.requires_grad:
        return shared
    what = "names no representation that its losses share" if shared is None else "shares a representation that is not trained"
    raise ConfigError(
        f'The objective {what}, and the balancer works on its gradients. Set train.balancer_settings.oracle = "theta", which '
        "costs a whole backward a loss, or give each Loss its `shared`."
    )


def _gradients(loss: Tensor, at: Sequence[Tensor]) -> list[Tensor]:
    """Zeros where the loss does not hang on it. The graph is kept: losses may share parts of it."""
    if not loss.requires_grad:
        return [torch.zeros_like(one) for one in at]
    found = torch.autograd.grad(loss, list(at), retain_graph=True, allow_unused=True)
    refuse_sparse(found)
    return [torch.zeros_like(one) if g is None else g for one, g in zip(at, found, strict=True)]


def refuse_sparse(gradients: Iterable[Tensor | None]) -> None:
    if any(one is not None and one.is_sparse for one in gradients):
        raise ConfigError(
            "A table's gradient is sparse, and the balancer multiplies whole ones. Set the table's sparse = false, or a balancer "
            'that looks elsewhere: train.balancer_settings.oracle = "shared" where it has one, or balancer = "equal".'
        )


def _reaches(loss: Tensor, z: Tensor) -> bool:
    return loss.requires_grad and torch.autograd.grad(loss, z, retain_graph=True, allow_unused=True)[0] is not None


def _gram(rows: Sequence[Tensor], apart: Sequence[Sequence[Tensor]]) -> Matrix:
    """Of the rows, pair by pair: one matrix of them would be a copy of all. Not a number where a head's gradient is none."""
    with torch.no_grad():
        below = torch.stack([torch.dot(rows[i], rows[j]) for i in range(len(rows)) for j in range(i + 1)])
        i, j = np.tril_indices(len(rows))
        gram = np.empty((len(rows), len(rows)))
        gram[i, j] = gram[j, i] = below.tolist()
        heads = [g.flatten() for some in apart for g in some]
        if heads and not isfinite(float(torch.cat(heads).sum())):  # one number says that all are finite, for most steps
            for task, some in enumerate(apart):
                if not float(get_total_norm(some)) < float("inf"):
                    gram[task, task] = np.nan
    return gram


def _total(rows: Sequence[Tensor], weights: Weights) -> Tensor:
    total = torch.zeros_like(rows[0])
    for row, weight in zip(rows, weights, strict=True):
        if weight is not None:
            total.add_(row, alpha=weight)
    return total


def _sum(losses: Sequence[Tensor], weights: Weights) -> Tensor:
    return torch.stack([loss * weight for loss, weight in zip(losses, weights, strict=True) if weight is not None]).sum()


def _descend_at_once(losses: Sequence[Tensor], own: Sequence[Sequence[Tensor]], weights: Weights, heads: Heads) -> None:
    """A head that weighs nothing, or shares parameters, would not have its own gradient back by a division: it gets it apart."""
    divides = len({id(one) for some in own for one in some}) == sum(map(len, own)) and 0.0 not in weights
    apart = [] if divides or heads == "weighted" else [_gradients(*pair) for pair in zip(losses, own, strict=True)]
    _sum(losses, weights).backward()  # type: ignore[no-untyped-call]
    if apart:
        for one in (one for some in own for one in some):
            one.grad = None
        _descend_heads(own, apart, weights, heads)
    elif heads == "own":
        for some, weight in zip(own, weights, strict=True):
            found = [one.grad for one in some if one.grad is not None]
            if found and weight is not None and weight != 1.0:
                torch._foreach_div_(found, weight)


def _descend_heads(own: Sequence[Sequence[Tensor]], apart: Sequence[Sequence[Tensor]], weights: Weights, heads: Heads) -> None:
    """A parameter that two heads share is in both lists, and gets the sum."""
    for parameters, gradients, weight in zip(own, apart, weights, strict=True):
        if weight is not None:
            _add_all(parameters, gradients, weight if heads == "weighted" else 1.0)


def _add_all(parameters: Iterable[Tensor], gradients: Iterable[Tensor], weight: float) -> None:
    for one, gradient in zip(parameters, gradients, strict=True):
        _add(one, gradient if weight == 1.0 else gradient * weight)


def _add(parameter: Tensor, gradient: Tensor) -> None:
    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
