"""Seconds of a step with several tasks: each balancer against the summed loss, and against TorchJD where it is installed.

    OMP_NUM_THREADS=1 python -m benchmarks.balancers [--rounds 15] [--tasks 2 4 8]

One body of DCN-V2's parts: 3 crosses of 128 features beside a tower 256, 128; heads 32 wide; batch 512; Adam, fused. Rows of
the "large body" have a tower 512, 512, 512, 128, at the same z and heads: what is paid at z is then less of a step. A step is
forward, balancer, optimizer and, for those that look again, the forward after it. CPU seconds, one thread: the median over
rounds, taken in turn so that all meet the same machine. "times" is the median over rounds of a step's time by the summed loss's
of the same round; "throughput" its inverse. TorchJD's rows are its mtl_backward (each loss through its head, then a Jacobian at
the body's parameters) and backward (a Jacobian at all parameters), with its MGDA, then jac_to_grad.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.record import record
from headrace.balance.makers import balancer_of
from headrace.contracts.seams import Reevaluate
from headrace.contracts.training import TrainConfig
from headrace.methods.rank.dcnv2 import CrossNet
from headrace.nn.seeded import seeded

FEATURES, BATCH, STEPS = 128, 512, 4
OURS: dict[str, dict[str, Any]] = {
    "equal": {},
    "uncertainty": {},
    "multibalance": {"warmup": 0},
    "multibalance, every 4": {"warmup": 0, "every": 4},
    "multibalance, exact": {"warmup": 0, "balance": "exact"},
    "multibalance, at theta": {"warmup": 0, "oracle": "theta"},
    "mgda": {},
    "mgda, at theta": {"oracle": "theta"},
    "cagrad": {},
    "nash_mtl": {},
    "famo": {},
    "marigold": {},
    "marigold, every 4": {"every": 4},
}
SMALL, LARGE = (256, 128), (512, 512, 512, 128)
AT_LARGE = ("equal", "multibalance", "multibalance, every 4", "multibalance, at theta", "marigold", "marigold, every 4")
Backward = Callable[[Mapping[str, Tensor], Tensor, Reevaluate], object]


class Model(nn.Module):
    def __init__(self, tasks: int, tower: Sequence[int] = SMALL):
        super().__init__()
        self.cross, width = CrossNet(FEATURES, 3), FEATURES + tower[-1]
        layers = (nn.Sequential(nn.Linear(*sizes), nn.ReLU()) for sizes in pairwise((FEATURES, *tower)))
        self.deep = nn.Sequential(*layers)
        self.heads = nn.ModuleList(nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 1)) for _ in range(tasks))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z = torch.cat([self.cross(x), self.deep(x)], -1)
        logits = (head(z).squeeze(-1) for head in self.heads)
        pairs = zip(logits, y.unbind(-1), strict=True)
        return z, {str(task): binary_cross_entropy_with_logits(logit, label) for task, (logit, label) in enumerate(pairs)}


class Timed:
    """make: from the model and the number of tasks to a backward and what follows the step, if anything does."""

    def __init__(
        self, tasks: int, make: Callable[[Model, int], tuple[Backward, Callable[[Reevaluate], None] | None]],
        tower: Sequence[int] = SMALL,
    ):  # fmt: skip
        with seeded(0, "balancers"):
            self.model = Model(tasks, tower)
            self.x, self.y = torch.randn(BATCH, FEATURES), (torch.rand(BATCH, tasks) < 0.2).float()
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3, fused=True)
        self.backward, self.after = make(self.model, tasks)

    @torch.no_grad()
    def again(self) -> dict[str, float]:
        return {name: float(loss) for name, loss in self.model(self.x, self.y)[1].items()}

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        z, losses = self.model(self.x, self.y)
        self.backward(losses, z, self.again)
        self.optimizer.step()
        if self.after is not None:
            self.after(self.again)

    def seconds(self) -> float:
        """Of a step, the mean over as many as `every` may span."""
        started = time.process_time()
        for _ in range(STEPS):
            self.step()
        return (time.process_time() - started) / STEPS


def ours(name: str) -> Callable[[Model, int], tuple[Backward, Callable[[Reevaluate], None] | None]]:
    def make(model: Model, tasks: int) -> tuple[Backward, Callable[[Reevaluate], None] | None]:
        train = TrainConfig(balancer=name.split(",")[0], balancer_settings=OURS[name])
        balancer = balancer_of(train, "benchmark")
        return balancer.backward, getattr(balancer, "after_step", None)

    return make


def theirs() -> dict[str, Callable[[Model, int], tuple[Backward, None]]]:
    try:
        from torchjd import aggregation, autojac
    except ImportError:
        return {}

    def at_z(model: Model, tasks: int) -> tuple[Backward, None]:
        heads = [list(head.parameters()) for head in model.heads]
        body = [*model.cross.parameters(), *model.deep.parameters()]
        mgda = aggregation.MGDA()

        def backward(losses: Mapping[str, Tensor], z: Tensor, again: Reevaluate) -> None:
            autojac.mtl_backward(list(losses.values()), features=z, tasks_params=heads, shared_params=body)
            autojac.jac_to_grad(body, mgda)

        return backward, None

    def at_theta(model: Model, tasks: int) -> tuple[Backward, None]:
        mgda = aggregation.MGDA()

        def backward(losses: Mapping[str, Tensor], z: Tensor, again: Reevaluate) -> None:
            autojac.backward(list(losses.values()))
            autojac.jac_to_grad(model.parameters(), mgda)

        return backward, None

    return {"torchjd mgda, mtl_backward": at_z, "torchjd mgda, backward": at_theta}


def compared(of: str, timed: Mapping[str, Timed], rounds: int) -> dict[str, float]:
    for one in timed.values():
        one.step()
    found = [{name: one.seconds() for name, one in timed.items()} for _ in range(rounds)]
    figures = {}
    for name in timed:
        times = statistics.median(one[name] / one["equal"] for one in found)
        figures[f"{of}, {name}, step_ms"] = round(1e3 * statistics.median(one[name] for one in found), 3)
        figures[f"{of}, {name}, times"] = round(times, 3)
        figures[f"{of}, {name}, throughput"] = round(1 / times, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, object] = {"unit": "CPU s", "batch": BATCH, "features": FEATURES}
    for tasks in asked.tasks:
        small = {name: Timed(tasks, make) for name, make in ({name: ours(name) for name in OURS} | theirs()).items()}
        figures |= compared(f"{tasks} tasks", small, asked.rounds)
        large = {name: Timed(tasks, ours(name), LARGE) for name in AT_LARGE}
        figures |= compared(f"{tasks} tasks, large body", large, asked.rounds)
    record("balancers", figures)


if __name__ == "__main__":
    main()
