"""What a process holds while it trains, in bytes: what `plan.memory` predicts."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer

from headrace.optim.state import state_bytes


@dataclass(frozen=True)
class Held:
    """weights, of which the optimizer keeps `moments`; activations: the most that autograd kept at once for a backward."""

    weights: int
    moments: int
    activations: int


class Saved:
    """Inside, `peak` is the most that autograd keeps at once, each storage counted once, and those left out not at all."""

    def __init__(self) -> None:
        self.left_out: set[int] = set()
        self.storages: dict[int, list[int]] = {}
        self.now, self.peak = 0, 0
        self.hooks: Any = saved_tensors_hooks(self._pack, lambda kept: kept.tensor)

    def leave_out(self, tensors: Iterable[Tensor]) -> None:
        """Weights, which a backward needs as well and which are there anyway."""
        self.left_out |= {one.untyped_storage().data_ptr() for one in tensors}

    def __enter__(self) -> "Saved":
        self.hooks.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.hooks.__exit__(kind, error, where)

    def _pack(self, tensor: Tensor) -> "_Kept":
        return _Kept(self, tensor.detach())


class _Kept:
    def __init__(self, of: Saved, tensor: Tensor):
        self.of, self.tensor = of, tensor
        self.place = tensor.untyped_storage().data_ptr()
        self.counted = self.place not in of.left_out
        if self.counted:
            times = of.storages.setdefault(self.place, [0, tensor.untyped_storage().nbytes()])
            times[0] += 1
            if times[0] == 1:
                of.now += times[1]
                of.peak = max(of.peak, of.now)

    def __del__(self) -> None:
        if self.counted:
            times = self.of.storages[self.place]
            times[0] -= 1
            if not times[0]:
                self.of.now -= times[1]
                del self.of.storages[self.place]


def held(module: nn.Module, optimizer: Optimizer, saved: Saved) -> Held:
    """module: this process's part."""
    weights = sum(one.numel() * one.element_size() for one in module.parameters())
    return Held(weights, state_bytes(optimizer), saved.peak)
