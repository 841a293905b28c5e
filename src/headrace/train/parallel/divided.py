"""One replica's weights, gradients and optimizer state over several processes, as `nn.parallel` cuts them; a `train.layout`.

The step is that of `layout.Whole` up to the order of float sums: replicas' gradients are summed as ranks' are, a tensor that two
stages hold (a tied embedding) has the sum of both gradients on both, and the norm is that of the whole model. Every process makes
the whole module first; then a copy is cut, and the module that was given is left empty, to be filled for a validation and at the
end. What is written is whole, under the names and numbers of one process, so that another layout takes it up.
Memory a process: about (weights + gradients + state) / (tensor · pipeline), `train.parallel.plan` says it exactly.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.utils import get_total_norm

from headrace.contracts.errors import ConfigError
from headrace.nn.parallel.place import Divides
from headrace.train.average import Average
from headrace.train.distributed import Ranks
from headrace.train.layout import Losses
from headrace.train.parallel.grid import Replicas, groups_of
from headrace.train.parallel.meeting import Meeting
from headrace.train.parallel.pipeline import Pipeline


class Divided:
    average: Average | None = None

    def __init__(self, module: nn.Module, ranks: Ranks, device: torch.device, name: str):
        if not isinstance(module, Divides):
            raise ConfigError(
                f"{name}: {type(module).__name__} can't be cut for train.parallel: it has no cut(place), receive, states and "
                "shape_of_states (headrace.nn.parallel.place). Train it with tensor = pipeline = 1, or give it those."
            )
        assert isinstance(ranks, Replicas)
        self.given, self.ranks, self.place = module.to("cpu"), ranks, ranks.place
        ranks.copy_first(module)
        copy = deepcopy(module)
        self.cut = copy.cut(self.place)
        self.module: nn.Module = copy.to(device)
        self.meeting = Meeting(self.module, self.cut, tuple(module.state_dict()), ranks)
        self.groups = groups_of(self.cut.shared.values(), ranks)
        self.pipeline: Pipeline | None = None
        if self.place.stages > 1:
            kind = next(self.module.parameters()).dtype
            self.pipeline = Pipeline(self.module, self.place, ranks.stages, device, kind)
        for one in module.parameters():
            one.grad, one.data = None, one.data.new_empty(0)

    def losses(self, run: Callable[[], Losses]) -> Losses:
        return run()

    def settle(self) -> None:
        own = dict(self.module.named_parameters())
        for name, stages in self.cut.shared.items():
            if name in own:
                one = own[name]
                one.grad = torch.zeros_like(one) if one.grad is None else one.grad
                distributed.all_reduce(one.grad, group=self.groups[stages])
        self.ranks.sum_gradients(self.module.parameters())

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        """gradients: this process's. A tensor that is whole on several processes counts on the first of them alone."""
        names = {id(one.grad): name for name, one in self.module.named_parameters() if one.grad is not None}
        mine = [one for one in gradients if self._counts(names[id(one)])]
        squared = get_total_norm(mine).double().square()
        for group in (self.place.group, self.ranks.stages if self.place.stages > 1 else None):
            if group is not None:
                distributed.all_reduce(squared, group=group)
        return squared.sqrt()

    def lengths(self, gradients: Mapping[str, Tensor]) -> dict[str, float]:
        """Of this process's parts."""
        return {name: float(gradient.norm()) for name, gradient in gradients.items()}

    def clip(self, most: float, norm: Tensor) -> None:
        gradients = [one.grad for one in self.module.parameters() if one.grad is not None]
        torch._foreach_mul_(gradients, float((most / (norm + 1e-6)).clamp(max=1.0)))

    def whole(self, tensor: Tensor) -> Tensor:
        return tensor

    def laid(self, whole: Tensor, like: Tensor) -> Tensor:
        return whole

    def states(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.meeting.states(own)

    def own(self, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.meeting.own(whole)

    def optimizer_states(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        return self.meeting.optimizer_states(optimizer)

    def load_optimizer(self, optimizer: torch.optim.Optimizer, whole: Mapping[str, Any]) -> None:
        optimizer.load_state_dict(self.meeting.own_optimizer(optimizer, whole))

    @contextmanager
    def at_home(self, source: nn.Module) -> Iterator[None]:
        self._fill()
        yield
        for one in self.given.parameters():
            one.data = one.data.new_empty(0)

    def give_back(self) -> None:
        self._fill()
        whole: list[Any] = [[(one.shape, one.dtype) for one in self.given.state_dict().values()]]
        distributed.broadcast_object_list(whole, 0)
        if not self.ranks.first:
            for (_, own), (shape, kind) in zip(_tensors(self.given), whole[0], strict=True):
                own.data = torch.empty(shape, dtype=kind)
        self.ranks.copy_first(self.given)

    def _fill(self) -> None:
        whole = self.states(self.module.state_dict())
        for name, own in _tensors(self.given):
            if self.ranks.first:
                own.data = whole[name]

    def _counts(self, name: str) -> bool:
        return self.meeting.first_holder(name) and (self.place.tensor == 0 or name in self.cut.pieces)


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers under their state's names, themselves."""
    return list(module.state_dict(keep_vars=True).items())
