"""Parts that keep their inputs alone for the backward and run again in it: less memory for one more forward.

A module offers this with an attribute `recompute`, True or False, that it heeds in its forward. Draws and gradients are the same.
Paper: Chen et al. 2016 (arXiv 1604.06174).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from headrace.contracts.errors import ConfigError


@contextmanager
def recomputing(module: nn.Module, name: str, *, on: bool) -> Iterator[None]:
    """Inside, every part that offers it runs again, where `on`."""
    offering: list[Any] = [part for part in module.modules() if on and isinstance(getattr(part, "recompute", None), bool)]
    if on and not offering:
        raise ConfigError(
            f"{name}: train.recompute is true, and no part of {type(module).__name__} can run again: none has an attribute "
            "recompute. Set it to false, or give the repeated part one (headrace.nn.body.stack does)."
        )
    before = [part.recompute for part in offering]
    for part in offering:
        part.recompute = True
    try:
        yield
    finally:
        for part, was in zip(offering, before, strict=True):
            part.recompute = was
