"""Weights, gradients and the optimizer's state, each cut into as many shares as there are ranks (torch's FSDP2).

A rank holds the rows r·n/W .. (r+1)·n/W of every weight [n, ...] with its gradient and state; a part's weights are gathered when
its forward begins and let go after it, the same again in the backward, and gradients are summed into the shares. Memory a rank:
(weights + gradients + state) / W, and the largest part whole. Traffic a micro-batch: three times the weights.

What is cut on its own is whatever a module lists as `sharded_parts()` (a stack's blocks); all else is one part, gathered for the
whole of the forward. Parameters without an axis stay whole. The losses of a micro-batch are computed inside one forward of FSDP's
root, so an objective may call any method of the model. The module that was given is left empty meanwhile, and a copy is trained:
for a validation, rank 0 fills it with the whole weights, and all ranks do at the end.
The step is that of `layout.Whole` up to the order of float sums. After an error that is neither of a step that is not finite nor
of being asked to stop, the module stays empty. Paper: FSDP (arXiv 2304.11277); ZeRO (arXiv 1910.02054), stage 3.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import get_total_norm

from headrace.train.average import Average
from headrace.train.distributed import Ranks
from headrace.train.layout import Alike, Losses


class Sharded(Alike):
    def __init__(self, module: nn.Module, ema_decay: float, ranks: Ranks, device: torch.device):
        self.given, self.ranks = module.to("cpu"), ranks
        ranks.copy_first(module)
        self.module = deepcopy(module)
        self.average = Average(module, ema_decay) if ema_decay else None
        self.root: Any = _Root(self.module, None if self.average is None else self.average.module)
        self.used, self.watched = set[str](), set[str]()
        self._cut(device)
        for one in module.parameters():
            one.grad, one.data = None, one.data.new_empty(0)

    def _cut(self, device: torch.device) -> None:
        world: Any = distributed.group.WORLD
        mesh = DeviceMesh.from_group(world, device.type)
        # torch caches how tensors lie by the mesh: that would hold the group, and its threads, beyond the group's end
        mesh._pg_registry.clear()
        scalars = {one for one in self.root.parameters() if not one.dim()}
        for one in scalars:
            one.data = one.data.to(device)
        listed = {part for one in self.root.modules() for part in getattr(one, "sharded_parts", list)()}
        for part in [*(one for one in reversed(list(self.root.modules())) if one in listed), self.root]:  # inner ones first
            fully_shard(part, mesh=mesh, ignored_params=scalars)
        modules: list[tuple[str, nn.Module]] = list(self.root.named_modules())
        for prefix, part in modules:
            if isinstance(part, FSDPModule):
                # losses are weighed by count, so gradients are summed, and not averaged
                part.set_gradient_divide_factor(1.0)
                part.set_force_sum_reduction_for_comms(True)
                part.register_forward_pre_hook(partial(self._watch, prefix))
        # a rank whose rows left an expert out takes part in the sum with zeros
        self.root.set_reduce_scatter_unused_params(True)

    def _watch(self, prefix: str, part: nn.Module, inputs: object) -> None:
        """Notes which of the part's parameters, gathered by now, will have had a gradient."""
        for name, one in part.named_parameters(prefix):
            if one.requires_grad and not isinstance(one, DTensor) and name not in self.watched:
                self.watched.add(name)
                # holds the set alone: a hook that held more would be a cycle that no collection sees
                note = partial(_noted, self.used, name)
                one.register_post_accumulate_grad_hook(note)  # type: ignore[no-untyped-call]

    def losses(self, run: Callable[[], Losses]) -> Losses:
        self.root(run)
        if not torch.is_grad_enabled():
            self.root.reshard()  # with gradients the backward does it
        found: Losses = self.root.found
        self.root.found = {}
        return found

    def settle(self) -> None:
        trained = {name: one for name, one in self.root.named_parameters() if one.requires_grad}
        used = self.ranks.sum({name: float(name in self.used) for name in trained})
        self.ranks.sum_gradients([one for one in trained.values() if not isinstance(one, DTensor)])
        for name, one in trained.items():
            if not used[name]:
                one.grad = None
        self.used.clear()

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        shares = [one.to_local() for one in gradients if isinstance(one, DTensor)]
        squared = get_total_norm(shares).double().square()
        distributed.all_reduce(squared)
        return (squared + get_total_norm([one for one in gradients if not isinstance(one, DTensor)]).square()).sqrt()

    def clip(self, most: float, norm: Tensor) -> None:
        gradients = [one.grad for one in self.module.parameters() if one.grad is not None]
        shares = [one.to_local() if isinstance(one, DTensor) else one for one in gradients]
        torch._foreach_mul_(shares, float((most / (norm + 1e-6)).clamp(max=1.0)))

    def whole(self, tensor: Tensor) -> Tensor:
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def laid(self, whole: Tensor, like: Tensor) -> Tensor:
        if not isinstance(like, DTensor):
            return whole
        # every rank has read the whole itself: none is sent
        return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)

    @contextmanager
    def at_home(self, source: nn.Module) -> Iterator[None]:
        self._fill(source, kept=self.ranks.first)
        yield
        for one in self.given.parameters():
            one.data = one.data.new_empty(0)

    def give_back(self) -> None:
        self._fill(self.module, kept=True)

    def _fill(self, source: nn.Module, *, kept: bool) -> None:
        for own, its in zip(self.given.parameters(), source.parameters(), strict=True):
            whole = self.whole(its.detach())
            if kept:
                own.data = whole.clone()
        for buffer, now in zip(self.given.buffers(), source.buffers(), strict=True):
            buffer.data = now.detach().clone()


class _Root(nn.Module):
    """What is gathered first and let go last: whatever no part has, of the model and of its average."""

    def __init__(self, module: nn.Module, average: nn.Module | None):
        super().__init__()
        self.module, self.average = module, average
        self.found: Losses = {}

    def forward(self, run: Callable[[], Losses]) -> list[Tensor]:
        """The tensors that a backward may begin at."""
        self.found = run()
        return [one for loss in self.found.values() for one in (loss.mean, loss.shared) if one is not None]


def _noted(used: set[str], name: str, parameter: Tensor) -> None:
    used.add(name)
