"""Row-wise Adagrad for embedding tables, AdamW for everything else: one number of state a row, and steps on seen rows alone.

    G_r <- G_r + mean over the row of g_r²;   w_r <- w_r - lr g_r / (sqrt(G_r) + ε)          a table's row r that has a gradient

AdamW keeps two numbers an element of a table and moves all of its rows in every step, though a batch has looked at few of them. A
table whose gradient is sparse (nn.Embedding(sparse=True), `headrace.nn.tables`) costs here what the batch looked at: a row seen
several times is one row first, by a sort and one sum over each run of equal numbers, then its G and its weights move.

State: 1 float a row, against AdamW's 2 dim a row. Time: O(n log n + u dim) for n look-ups of u different rows; O(rows dim) for a
table whose gradient is dense, which gets the same rule where its group says rowwise = True.
Weight decay is decoupled. With a sparse gradient it shortens the rows that were seen, once each time; with a dense one all rows.
Use it where tables are most of the model: Adagrad's steps shrink as a row is seen more often, so a common id settles and a rare
one still moves. Its rate is another than AdamW's, and a run of very many steps comes to a stand: G only grows.
Relation to `apollo`: that one saves state of the layers' matrices and leaves tables alone; this one is for tables.
Parameters and their state are of one type. Paper: Duchi et al., JMLR 2011; one G a row is FBGEMM's exact row-wise Adagrad.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag
from torch.optim import Optimizer

from headrace.contracts.errors import ConfigError
from headrace.optim.fused import step_with_adamw


class RowWise(Optimizer):
    """params: parameters, or groups that may set each of these for themselves. rowwise: whatever the gradient's layout.

    A parameter whose gradient is sparse gets the row-wise rule in any group. betas: AdamW's alone.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, *, rowwise: bool = False,
    ):  # fmt: skip
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "rowwise": rowwise, "fused": True}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _refuse({**self.defaults, **param_group})
        super().add_param_group(param_group)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            plain = []
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.grad.is_sparse or group["rowwise"]:
                    self._by_rows(parameter, parameter.grad, group)
                else:
                    plain.append(parameter)
            if plain:
                step_with_adamw(plain, [self.state[parameter] for parameter in plain], group)
        return loss

    def _by_rows(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, rate, decay = self.state[weight], group["lr"], group["lr"] * group["weight_decay"]
        if not state:
            state["sum"] = torch.zeros(weight.shape[:1], dtype=weight.dtype, device=weight.device)
        total: Tensor = state["sum"]
        if not gradient.is_sparse:
            total.add_(_mean_square(gradient))
            weight.mul_(1 - decay)
            weight.addcdiv_(gradient, _as_rows(total.sqrt().add_(group["eps"]), gradient), value=-rate)
            return
        rows, values = summed(gradient)
        seen = total[rows].add_(_mean_square(values))
        total[rows] = seen
        step = values.div(_as_rows(seen.sqrt_().add_(group["eps"]), values)).mul_(-rate)
        if decay:
            step.sub_(weight[rows], alpha=decay)
        # not index_add_, which walks a CPU's rows one by one: three times as slow
        weight.scatter_add_(0, _as_rows(rows, step).expand_as(step), step)


def summed(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """A sparse gradient as its different rows [u], in order, and their sums [u, ..].

    The sum over each run of equal numbers is a bag of embeddings: the gradient's values are read in place, once. That is a fifth
    of the time of torch's coalesce on a CPU.
    """
    if gradient.is_coalesced() or not gradient._nnz():
        return gradient._indices()[0], gradient._values()
    ids, order = torch.sort(gradient._indices()[0], stable=True)
    rows, counts = torch.unique_consecutive(ids, return_counts=True)
    first = torch.cat([counts.new_zeros(1), counts.cumsum(0)[:-1]])
    return rows, embedding_bag(order, gradient._values(), first, mode="sum")


def _mean_square(gradient: Tensor) -> Tensor:
    """A row's: [rows, ..] -> [rows]; of a vector each number's own."""
    squares = gradient.square()
    return squares.flatten(1).mean(1) if gradient.dim() > 1 else squares


def _as_rows(values: Tensor, like: Tensor) -> Tensor:
    """[rows] -> [rows, 1, ..]."""
    return values.view([*values.shape, *[1] * (like.dim() - values.dim())])


def _refuse(group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    bounds = {
        "lr": (group["lr"] >= 0, "0 or more"),
        "betas": (0 <= beta1 < 1 and 0 <= beta2 < 1, "both in [0, 1)"),
        "eps": (group["eps"] > 0, "above 0"),
        "weight_decay": (group["weight_decay"] >= 0, "0 or more"),
    }
    for name, (holds, wanted) in bounds.items():
        if not holds:
            raise ConfigError(f"row-wise Adagrad: {name} is {group[name]!r}: expected {wanted}.")
