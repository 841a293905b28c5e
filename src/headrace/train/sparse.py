"""Sparse gradients of embedding tables: a step brings each to one row an id, so that its length and its clipping are right.

A row that a batch looked at twice stands twice in the gradient that autograd leaves; the length of that is not the length of the
sum. Cost: a sort of the look-ups and one pass over them, which the optimizer would do otherwise.
Several ranks sum whole gradients and layouts cut whole weights, so a table with sparse gradients is trained in one process.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from headrace.contracts.errors import ConfigError
from headrace.optim.apollo import APOLLO
from headrace.optim.rowwise import summed

DENSE = (torch.optim.Adam, torch.optim.Adafactor, torch.optim.Muon, APOLLO)
"""Optimizers that take no sparse gradient; AdamW is one of Adam's."""


def sum_rows(parameters: Iterable[nn.Parameter]) -> None:
    """Each sparse gradient has one row an id from here on."""
    for one in parameters:
        if one.grad is not None and one.grad.is_sparse and not one.grad.is_coalesced():
            rows, values = summed(one.grad)
            one.grad = torch.sparse_coo_tensor(rows.unsqueeze(0), values, one.shape, is_coalesced=True, check_invariants=False)


def numbers(gradients: Iterable[Tensor]) -> list[Tensor]:
    """What there is of each: a sparse one's values."""
    return [one._values() if one.is_sparse else one for one in gradients]


def refuse_sparse_tables(module: nn.Module, optimizer: torch.optim.Optimizer, *, ranks: int, processes: int, name: str) -> None:
    """Raises a ConfigError where a table gives sparse gradients and something else can't take them."""
    tables = [path for path, one in module.named_modules() if isinstance(one, nn.Embedding | nn.EmbeddingBag) and one.sparse]
    if not tables:
        return
    said = f"{name}: the gradient of table {tables[0]} is sparse, and"
    if ranks > 1 or processes > 1:
        raise ConfigError(f"{said} ranks sum whole ones. Train it in one process, without torchrun, or set sparse = false.")
    if isinstance(optimizer, DENSE):
        kind = type(optimizer).__name__
        raise ConfigError(f'{said} {kind} takes whole ones. Set train.optimizer = "rowwise", or sparse = false.')
