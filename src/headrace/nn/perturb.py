"""A scorer's input, its embeddings or what its head reads, moved a little at random.

    embedding, hidden    e + noise · rms(e) · N(0, 1)
    input                the same of the fields that are floats; a code is 0 with chance `mask`: a field unknown, a past item gone

rms over the last dimension, without a gradient: noise is in units of what it is added to, so it needs no scale of each field's
own, and an empty place (zeros) stays empty. The candidate's own number is no field to mask: all that is known of it hangs there.
Shapes are the model's own. Cost O(1) a number that is moved, beside the forward in which it happens.
Inside the view dropout and the base's draws are those of the clean forward that follows, so what differs is the noise alone.
Source: arXiv 2502.18478; which noise, how much and where are our reading (docs/papers/lspr.md).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Services

Place = Literal["input", "embedding", "hidden"]


@dataclass(frozen=True)
class Perturbation:
    """noise: in root mean squares of what it is added to. mask: the share of codes that are hidden, of the input alone."""

    at: Place = "embedding"
    noise: float = 0.05
    mask: float = 0.0


@contextmanager
def perturbed(model: nn.Module, batch: Batch, services: Services, how: Perturbation) -> Iterator[tuple[Batch, Services]]:
    """Inside, the model's forwards are perturbed. Gives the batch and the services to call it with.

    It comes before the clean forward: neither torch's stream nor the services' has moved when it is left. The noise is of a
    stream that is seeded by what the services' would say next, so a step that is run again has the same.
    """
    ahead, same = (_copy(services.generator) for _ in range(2))
    draw = torch.Generator(ahead.device).manual_seed(int(torch.randint(2**62, (), generator=ahead, device=ahead.device)))
    parameter = next(model.parameters())
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([parameter.device] if parameter.is_cuda else []))
        for handle in _hooks(model, how, draw):
            stack.callback(handle.remove)
        moved = _input(model, batch, how, draw) if how.at == "input" else batch
        yield moved, replace(services, generator=same)


def noisy(values: Tensor, noise: float, draw: torch.Generator) -> Tensor:
    """values [..., D] with noise in units of each vector's root mean square."""
    if not values.shape[-1]:
        return values
    rms = values.detach().square().mean(-1, keepdim=True).sqrt()
    drawn = torch.randn(values.shape, generator=draw, device=draw.device, dtype=values.dtype).to(values.device)
    return values + noise * rms * drawn


def _input(model: Any, batch: Batch, how: Perturbation, draw: torch.Generator) -> Batch:
    moved = dict(batch)
    for name in sorted({*model.schema, *model.candidate_schema} - {"items"}):
        values = batch[name]
        if values.is_floating_point():
            moved[name] = noisy(values, how.noise, draw)
        elif how.mask:
            hidden = torch.rand(values.shape, generator=draw, device=draw.device) < how.mask
            moved[name] = values.masked_fill(hidden.to(values.device), 0)
    return moved


def _hooks(model: nn.Module, how: Perturbation, draw: torch.Generator) -> list[Any]:
    if how.at == "embedding":
        after: Callable[..., Tensor] = lambda module, given, found: noisy(found, how.noise, draw)  # noqa: E731
        return [one.register_forward_hook(after) for one in model.modules() if isinstance(one, nn.Embedding)]
    if how.at == "hidden":
        head = model.get_submodule(getattr(model, "head_at", "head"))
        return [head.register_forward_pre_hook(lambda module, given: (noisy(given[0], how.noise, draw), *given[1:]))]
    return []


def _copy(generator: torch.Generator) -> torch.Generator:
    return torch.Generator(generator.device).set_state(generator.get_state())
