"""An exponential moving average of a model's weights, one step behind the optimizer.

    average <- decay average + (1 - decay) weights,   from the first weights on

Objectives find it as `services.ema`: the keys of a contrast, a teacher, a target that moves slowly. It answers as in evaluation
and takes no gradient. Buffers are copied. Cost: the model's memory once more, one pass over the weights a step.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import nn


class Average:
    def __init__(self, module: nn.Module, decay: float):
        self.module, self.decay = deepcopy(module).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), 1 - self.decay)
        for own, its in zip(self.module.buffers(), module.buffers(), strict=True):
            own.copy_(its)

    @contextmanager
    def in_place_of(self, module: nn.Module) -> Iterator[None]:
        """Inside, the module has the averaged weights."""
        own = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        module.load_state_dict(self.module.state_dict())
        try:
            yield
        finally:
            module.load_state_dict(own)
