"""What every balancer promises the trainer: one gradient left in `.grad`, and the weight that each loss got."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headrace.contracts.seams import Balancer
from headrace.testing.expect import expect


def check_balancer(make: Callable[[], Balancer]) -> None:
    """make: a fresh balancer, since some keep what they saw."""
    expect(isinstance(make(), Balancer), f"{type(make()).__name__} lacks accumulates or backward.")
    expect(isinstance(make().accumulates, bool), f"accumulates is {make().accumulates!r}: expected True or False.")
    for tasks in (1, 2, 3):
        problem = _Problem(tasks)
        gradient, weights = problem.step(make())
        expect(weights.keys() == problem.losses().keys(), f"Weights for {list(weights)}, losses were {list(problem.losses())}.")
        finite = all(isinstance(weight, float) and math.isfinite(weight) for weight in weights.values())
        expect(finite, f"Weights are {dict(weights)}: expected finite floats.")
        expect(gradient.isfinite().all(), "A gradient is not finite.")
        expect(gradient.any(), "backward left no gradient.")
        again, _ = _Problem(tasks).step(make())
        expect(again.equal(gradient), "A fresh balancer leaves another gradient for the same losses.")
        if tasks == 1:
            plain = problem.plain()
            scale = float((gradient @ plain) / (plain @ plain))
            close = torch.allclose(gradient, scale * plain, rtol=1e-4, atol=1e-6)
            expect(scale > 0 and close, "With one loss the gradient is not a positive multiple of that loss's own.")


class _Problem:
    """Regressions on one shared representation."""

    def __init__(self, tasks: int):
        draw = torch.Generator().manual_seed(0)
        self.inputs, self.targets = torch.randn(8, 4, generator=draw), torch.randn(tasks, 8, generator=draw)
        self.body = nn.Parameter(torch.randn(4, 3, generator=draw))
        self.heads = nn.Parameter(torch.randn(tasks, 3, generator=draw))

    def losses(self) -> dict[str, Tensor]:
        return self._losses(self.inputs @ self.body)

    def step(self, balancer: Any) -> tuple[Tensor, Mapping[str, float]]:
        shared = self.inputs @ self.body
        weights = balancer.backward(self._losses(shared), shared, self._reevaluate)
        expect(self.body.grad is not None, "backward left no gradient in .grad.")
        gradient = self._gradient()
        if hasattr(balancer, "after_step"):
            balancer.after_step(self._reevaluate)
        return gradient, weights

    def plain(self) -> Tensor:
        self.body.grad = self.heads.grad = None
        sum(self.losses().values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        return self._gradient()

    def _losses(self, shared: Tensor) -> dict[str, Tensor]:
        return {
            f"task {n}": (shared @ head - target).square().mean()
            for n, (head, target) in enumerate(zip(self.heads, self.targets, strict=True))
        }

    @torch.no_grad()
    def _reevaluate(self) -> dict[str, float]:
        return {name: float(loss) for name, loss in self.losses().items()}

    def _gradient(self) -> Tensor:
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in (self.body, self.heads)]
        return torch.cat([gradient.flatten() for gradient in gradients])
