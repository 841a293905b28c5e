"""Where weights, gradients and the optimizer's state lie while they are trained: whole in every process, or in another way.

The trainer asks a layout whatever hangs on that. Every process calls each method alike: a layout may have to gather.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Loss
from headrace.contracts.training import TrainConfig
from headrace.optim.apollo import APOLLO
from headrace.optim.rowwise import RowWise
from headrace.train.average import Average
from headrace.train.distributed import Ranks
from headrace.train.sparse import numbers, sum_rows

if TYPE_CHECKING:
    from headrace.train.parallel.pipeline import Pipeline

Losses = Mapping[str, Loss]


class Layout(Protocol):
    """module: what objectives are called with and whose parameters the optimizer moves. average: that of its weights, if any.

    pipeline: where other processes have the layers before or behind those of `module`.
    """

    module: nn.Module
    average: Average | None
    pipeline: "Pipeline | None"

    def losses(self, run: Callable[[], Losses]) -> Losses:
        """What `run` returns, run where the weights can be read."""
        ...

    def settle(self) -> None:
        """Gradients are those of all ranks from here on; a parameter that none has a gradient for keeps none."""
        ...

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        """Their length, all ranks' parts together."""
        ...

    def lengths(self, gradients: Mapping[str, Tensor]) -> Mapping[str, float]:
        """Each one's, for a message."""
        ...

    def clip(self, most: float, norm: Tensor) -> None:
        """Gradients whose length is `norm` are shortened to `most`."""
        ...

    def states(self, own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """On rank 0, a state of `module` under every name that one process has; `whole` is still to be asked of each tensor."""
        ...

    def own(self, whole: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """This process's part of such a state; what no process has stays, for a module to refuse."""
        ...

    def optimizer_states(self, optimizer: torch.optim.Optimizer) -> Mapping[str, Any]:
        """As `states`, of the optimizer."""
        ...

    def load_optimizer(self, optimizer: torch.optim.Optimizer, whole: Mapping[str, Any]) -> None: ...

    def whole(self, tensor: Tensor) -> Tensor:
        """A weight or its state, all of it, as one process would have it."""
        ...

    def laid(self, whole: Tensor, like: Tensor) -> Tensor:
        """This process's part of it, lying as `like` does."""
        ...

    def at_home(self, source: nn.Module) -> AbstractContextManager[None]:
        """Inside, the module that was given to be trained has the weights of `source` (`module`, or the average's) on rank 0."""
        ...

    def give_back(self) -> None:
        """The module that was given has the trained weights, on every rank, and nothing of the layout is left."""
        ...


class Alike:
    """What is the same wherever every process has every name."""

    module: nn.Module
    pipeline: "Pipeline | None" = None

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        raise NotImplementedError

    def laid(self, whole: Tensor, like: Tensor) -> Tensor:
        raise NotImplementedError

    def lengths(self, gradients: Mapping[str, Tensor]) -> Mapping[str, float]:
        return {name: float(self.norm([gradient])) for name, gradient in gradients.items()}

    def states(self, own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return own

    def own(self, whole: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        own = self.module.state_dict()
        return {name: self.laid(value, own[name]) if name in own else value for name, value in whole.items()}

    def optimizer_states(self, optimizer: torch.optim.Optimizer) -> Mapping[str, Any]:
        return optimizer.state_dict()

    def load_optimizer(self, optimizer: torch.optim.Optimizer, whole: Mapping[str, Any]) -> None:
        optimizer.load_state_dict(dict(whole))
        for parameter, state in optimizer.state.items():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    state[name] = self.laid(value, parameter)


class Whole(Alike):
    """Every process holds everything; gradients are summed over the ranks."""

    def __init__(self, module: nn.Module, ema_decay: float, ranks: Ranks, device: torch.device):
        self.module, self.ranks = module.to(device), ranks
        ranks.copy_first(module)
        self.average = Average(module, ema_decay) if ema_decay else None

    def losses(self, run: Callable[[], Losses]) -> Losses:
        return run()

    def settle(self) -> None:
        self.ranks.sum_gradients(self.module.parameters())
        sum_rows(self.module.parameters())

    def norm(self, gradients: Sequence[Tensor]) -> Tensor:
        return get_total_norm(numbers(gradients))

    def clip(self, most: float, norm: Tensor) -> None:
        sparse, whole = list[Tensor](), list[nn.Parameter]()
        for one in self.module.parameters():
            if one.grad is not None and one.grad.is_sparse:
                sparse.append(one.grad._values())
            else:
                whole.append(one)
        clip_grads_with_norm_(whole, most, norm)
        for values in sparse:
            values.mul_((most / (norm + 1e-6)).clamp(max=1.0))  # as torch has it for the others

    def whole(self, tensor: Tensor) -> Tensor:
        return tensor

    def laid(self, whole: Tensor, like: Tensor) -> Tensor:
        return whole

    @contextmanager
    def at_home(self, source: nn.Module) -> Iterator[None]:
        if self.average is None or source is self.module:
            yield
        else:
            with self.average.in_place_of(self.module):
                yield

    def give_back(self) -> None:
        pass


def placed(ranks: Ranks, config: TrainConfig, device: torch.device, name: str) -> Ranks:
    """Of all that were launched, those that share rows; each may be several processes."""
    if config.parallel.processes == 1:
        return ranks
    from headrace.train.parallel.grid import grid_of

    return grid_of(config.parallel, ranks, device, name)


def laid_out(module: nn.Module, config: TrainConfig, ranks: Ranks, device: torch.device, name: str) -> Layout:
    """As the config asks; with one process there is nothing to cut."""
    if config.parallel.processes > 1:
        from headrace.train.parallel.divided import Divided  # takes torch's pipelines a while to load

        return Divided(module, ranks, device, name)
    if config.shard and ranks.size > 1:
        from headrace.train.sharded import Sharded  # takes FSDP's modules a while to load

        return Sharded(module, config.ema_decay, ranks, device)
    return Whole(module, config.ema_decay, ranks, device)


def refuse_to_cut(optimizer: torch.optim.Optimizer, config: TrainConfig, name: str) -> None:
    if config.shard and isinstance(optimizer, APOLLO | RowWise | torch.optim.Muon):
        raise ConfigError(
            f"{name}: {type(optimizer).__name__} reads whole matrices (a channel's or a row's length, say), and train.shard cuts "
            'them. Take optimizer = "adamw", or set shard = false.'
        )
