"""Torch's fused AdamW for the parameters an optimizer of ours leaves to it, with their state among its own."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw


def step_with_adamw(parameters: Sequence[Tensor], states: Sequence[MutableMapping[str, Any]], group: dict[str, Any]) -> None:
    """Each has a gradient. group: lr, betas, eps and weight_decay, as torch has them; it must say fused = True.

    Without that the step counts would come back from a checkpoint in the parameter's type.
    """
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    first, second, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
    beta1, beta2 = group["betas"]
    adamw(list(parameters), gradients, first, second, [], steps, fused=True, amsgrad=False, beta1=beta1, beta2=beta2,
          lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"], maximize=False)  # fmt: skip
