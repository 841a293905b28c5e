"""What every optimizer promises the trainer: steps that follow from gradients and state alone, and a state to put down."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from headrace.contracts.errors import ConfigError
from headrace.testing.expect import expect
from headrace.train.nest import put_together, taken_apart

_RATE = 0.01
BAD: Mapping[str, Any] = {"lr": -1.0, "weight_decay": -1.0, "eps": -1.0, "betas": (1.0, 0.9)}


def check_optimizer(make: Callable[..., Optimizer], *, bad: Mapping[str, Any] = BAD) -> None:
    """make(parameters or groups, lr=, weight_decay=): a fresh one. bad: settings each of which it must refuse.

    Weight decay is taken to be decoupled: it shortens a parameter by lr times itself.
    """
    for dtype in (torch.float32, torch.bfloat16):
        found, again = _stepped(make, _parameters(dtype), 0, 6), _stepped(make, _parameters(dtype), 0, 6)
        expect(_same(found, again), f"{dtype}: two fresh ones end in different bits.")
        expect(all(one.isfinite().all() for one in found), f"{dtype}: a parameter is not finite after 6 steps.")
        expect(_same(found, _broken_off(make, dtype)), f"{dtype}: with its state put down after 3 steps it ends in other bits.")
        _check_nothing_to_do(make, dtype)
    _check_descent(make)
    _check_closure(make)
    _check_groups(make)
    for name, value in bad.items():
        try:
            make(_parameters(torch.float32), **{"lr": _RATE, name: value})
        except (ConfigError, ValueError):
            continue
        expect(False, f"{name} = {value!r} was not refused.")


def _broken_off(make: Callable[..., Optimizer], dtype: torch.dtype) -> list[Tensor]:
    """Three steps, the state through a checkpoint's form, three more with a new one."""
    parameters = _parameters(dtype)
    first = make(parameters, lr=_RATE, weight_decay=0.1)
    _steps(first, parameters, 0, 3)
    tensors: dict[str, Tensor] = {}
    form = taken_apart(first.state_dict(), "state", tensors)
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    moved = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    second = make(moved, lr=_RATE, weight_decay=0.1)
    second.load_state_dict(put_together(form, copies))
    _steps(second, moved, 3, 6)
    return [parameter.detach() for parameter in moved]


def _check_nothing_to_do(make: Callable[..., Optimizer], dtype: torch.dtype) -> None:
    for decay in (0.0, 0.5):
        parameters = _parameters(dtype)
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer = make(parameters, lr=_RATE, weight_decay=decay)
        for parameter in parameters[1:]:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        expect(parameters[0].equal(before[0]), f"{dtype}: a parameter without a gradient moved.")
        for one, was in zip(parameters[1:], before[1:], strict=True):
            wanted = was * (1 - _RATE * decay)
            close = torch.allclose(one, wanted, rtol=1e-6 if dtype == torch.float32 else 1e-2, atol=0)
            expect(close if decay else one.equal(was), f"{dtype}: a zero gradient moved a parameter beyond weight decay {decay}.")


def _check_descent(make: Callable[..., Optimizer]) -> None:
    parameters = _parameters(torch.float32)
    targets = [torch.zeros_like(parameter) for parameter in parameters]
    optimizer = make(parameters, lr=_RATE, weight_decay=0.0)
    losses = []
    for _ in range(40):
        for parameter, target in zip(parameters, targets, strict=True):
            parameter.grad = (parameter - target).detach()
        losses.append(sum(float((one.detach() - target).square().sum()) for one, target in zip(parameters, targets, strict=True)))
        optimizer.step()
    expect(losses[-1] < 0.99 * losses[0], f"40 steps down a bowl went from {losses[0]:.4f} to {losses[-1]:.4f}.")


def _check_closure(make: Callable[..., Optimizer]) -> None:
    parameters, calls = _parameters(torch.float32), []
    optimizer = make(parameters, lr=_RATE, weight_decay=0.0)

    def closure() -> Tensor:
        calls.append(torch.is_grad_enabled())
        _give(parameters, 0)
        return torch.tensor(3.0)

    returned: Any = optimizer.step(closure)  # type: ignore[arg-type]
    expect(calls == [True], f"A closure is called once, with gradients enabled; it was called with {calls}.")
    told = returned is not None and float(returned) == 3.0
    expect(told, f"step(closure) returned {returned!r}: expected the closure's loss, 3.0.")
    plain = _parameters(torch.float32)
    _steps(make(plain, lr=_RATE, weight_decay=0.0), plain, 0, 1)
    expect(_same(plain, parameters), "A step with a closure moves otherwise than one without.")


def _check_groups(make: Callable[..., Optimizer]) -> None:
    parameters = _parameters(torch.float32)
    still = parameters[0].detach().clone()
    optimizer = make([{"params": parameters[:1], "lr": 0.0}, {"params": parameters[1:]}], lr=_RATE, weight_decay=0.1)
    alone = _parameters(torch.float32)
    _steps(optimizer, parameters, 0, 3)
    _steps(make([{"params": alone[:1]}, {"params": alone[1:]}], lr=_RATE, weight_decay=0.1), alone, 0, 3)
    expect(parameters[0].equal(still), "A group with lr = 0 moved.")
    expect(_same(parameters[1:], alone[1:]), "A group's settings reach another group.")


def _parameters(dtype: torch.dtype) -> list[nn.Parameter]:
    """A wide, a tall and a square matrix, a vector and a number."""
    draw = torch.Generator().manual_seed(0)
    shapes = ((4, 6), (7, 3), (5, 5), (4,), ())
    return [nn.Parameter(torch.randn(shape, generator=draw).to(dtype)) for shape in shapes]


def _give(parameters: list[nn.Parameter], step: int) -> None:
    draw = torch.Generator().manual_seed(step + 1)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=draw).to(parameter.dtype)


def _steps(optimizer: Optimizer, parameters: list[nn.Parameter], start: int, end: int) -> None:
    for step in range(start, end):
        _give(parameters, step)
        optimizer.step()


def _stepped(make: Callable[..., Optimizer], parameters: list[nn.Parameter], start: int, end: int) -> list[Tensor]:
    _steps(make(parameters, lr=_RATE, weight_decay=0.1), parameters, start, end)
    return [parameter.detach() for parameter in parameters]


def _same(some: Any, others: Any) -> bool:
    return all(one.equal(other) for one, other in zip(some, others, strict=True))
