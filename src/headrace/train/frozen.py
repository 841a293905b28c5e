"""Models that objectives lean on and no step moves: a teacher, an encoder, a reference policy.

An artifact that is a module is one. It is neither in the optimizer nor in a checkpoint: who resumes a run loads it again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from headrace.contracts.errors import ConfigError


@contextmanager
def frozen(artifacts: Mapping[str, Any], trained: nn.Module, device: torch.device, name: str) -> Iterator[None]:
    """Inside, every module among the artifacts is on the device, answers as in evaluation and takes no gradient.

    On leaving, each is as it was. One that shares parameters with what is trained is refused: it would stop that from learning.
    """
    moving = {id(one) for one in trained.parameters()}
    models: dict[int, nn.Module] = {}
    for named, model in artifacts.items():
        if not isinstance(model, nn.Module):
            continue
        if any(id(one) in moving for one in model.parameters()):
            raise ConfigError(f"{name}: the artifact {named} shares parameters with what is trained. Give it a copy of its own.")
        models[id(model)] = model
    parameters = [one for model in models.values() for one in model.parameters()]
    modules = [module for model in models.values() for module in model.modules()]
    learning, training = [one.requires_grad for one in parameters], [module.training for module in modules]
    homes = [next((one.device for one in model.parameters()), device) for model in models.values()]
    for model in models.values():
        model.to(device).eval().requires_grad_(False)
    try:
        yield
    finally:
        for model, home in zip(models.values(), homes, strict=True):
            model.to(home)
        for one, was in zip(parameters, learning, strict=True):
            one.requires_grad_(was)
        for module, was in zip(modules, training, strict=True):
            module.training = was
