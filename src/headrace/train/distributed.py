"""Several processes that train as one, under torchrun: every batch is dealt out, and what they find is summed.

    torchrun --nproc-per-node 2 my_training.py        # my_training.py calls train(), in every process alike

Of a batch of rows 0, 1, 2, ... rank r of W computes the rows r, r + W, r + 2W, ... (dealt like cards, so that rows sorted by
length load the ranks alike). Every loss is weighed by its share of the count over all ranks, and gradients are summed, so the
step is that of one process with the whole batch, up to the order of float sums: unequal shares are exact too. Draws differ: each
rank has a stream of its own. Rank 0 alone validates, saves and reports; its values reach the others. A checkpoint is read by
every rank, so its folder must be one that all of them see. Without torchrun nothing here touches torch.distributed.
"""

import gc
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import torch
from torch import Tensor, distributed, nn

from headrace.contracts.batch import Batch
from headrace.contracts.errors import ConfigError, listed


@dataclass(frozen=True)
class Ranks:
    """This process's place among `size`. With one process every method is the identity. group: of these, None for all."""

    rank: int = 0
    size: int = 1
    group: Any = None

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def draws(self) -> tuple[int, ...]:
        """What sets this process's draws apart from those of others."""
        return (self.rank,) if self.size > 1 else ()

    def share(self, batch: Batch) -> tuple[Batch, bool]:
        """This rank's rows, and whether there are any: a rank left without takes row 0, for the shape, and must not count it.

        A tensor without an axis goes to every rank whole.
        """
        if self.size == 1:
            return batch, True
        lengths = {name: len(values) for name, values in batch.items() if values.dim()}
        rows = next(iter(lengths.values()))
        other = [name for name, length in lengths.items() if length != rows]
        if other:
            raise ConfigError(
                f"a batch's rows are dealt out to {self.size} ranks, but {listed(other)} has another number of rows than "
                f"{next(iter(lengths))} ({rows}). Train it in one process, or give every tensor one leading row axis."
            )
        mine = slice(self.rank, None, self.size) if self.rank < rows else slice(0, 1)
        return {name: values[mine] if values.dim() else values for name, values in batch.items()}, self.rank < rows

    def sum(self, values: Mapping[str, float]) -> dict[str, float]:
        """Each named value over all ranks, which must name the same ones."""
        if self.size == 1:
            return dict(values)
        total = torch.tensor(list(values.values()), dtype=torch.float64)
        distributed.all_reduce(total, group=self.group)
        return dict(zip(values, total.tolist(), strict=True))

    def any(self, asked: bool) -> bool:
        """Whether any process was."""
        return bool(self.sum({"asked": float(asked)})["asked"])

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """In place. A parameter that no rank has a gradient for keeps none, so an optimizer skips it as it would alone."""
        if self.size == 1:
            return
        alike: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.requires_grad:
                alike.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        for (dtype, device), group in alike.items():
            there = torch.tensor([one.grad is not None for one in group], dtype=dtype, device=device)
            whole = torch.cat([*(_gradient(one).flatten() for one in group), there])
            distributed.all_reduce(whole, group=self.group)
            *gradients, counted = torch.split(whole, [*(one.numel() for one in group), len(group)])
            for one, gradient, ranks in zip(group, gradients, counted.tolist(), strict=True):
                one.grad = gradient.view_as(one) if ranks else None

    def of_first(self, value: float) -> float:
        """Rank 0's value, on every rank."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64)
        distributed.broadcast(told, 0)
        return float(told)

    def copy_first(self, module: nn.Module) -> None:
        """Every rank's weights and buffers become rank 0's."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)


@contextmanager
def launched() -> Iterator[Ranks]:
    """The ranks torchrun started (or those of a process group the caller opened); else this process alone.

    A group lives as long as one training.
    """
    if distributed.is_available() and distributed.is_initialized():
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
    elif not distributed.is_available() or not distributed.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Ranks()
    else:
        store, rank, size = _meeting_place()
        on_gpus = torch.cuda.is_available() and distributed.is_nccl_available()
        # a number of its own for each training, or the next one would read the addresses of the one before
        own = distributed.distributed_c10d.PrefixStore(f"headrace/{next(_TRAININGS)}", store)
        distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", store=own, rank=rank, world_size=size)
        try:
            yield Ranks(rank, size)
        finally:
            distributed.destroy_process_group()
            gc.collect()  # weights in shards hold the group, and stand in cycles


_TRAININGS = count()


@cache
def _meeting_place() -> tuple[Any, int, int]:
    """The store torchrun opened, this process's rank, and how many there are."""
    # Loaded by every optimizer, and its default arguments hold whatever group is open by then: a group that is held so outlives
    # destroy_process_group, and its threads can abort the process at exit.
    import torch.distributed.nn.functional  # noqa: F401
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    return store, rank, size


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
