"""Shared bottom: several tasks on one tower, each with a small tower of its own above it.

    z = f(x),      logit_t = h_t(z)

Shapes: x [.., D] -> z [.., bottom[-1]] -> logits [..] a task. Cost: one tower, whatever the number of tasks, and m small ones.
The cut (`shared`) is z: nothing below it is a single task's.
Use it first where there are several tasks: it is the cheapest, and what every other has to beat. It loses where tasks disagree,
since all of them have to live with one z: `mmoe` lets each weigh experts, `ple` gives each experts of its own, `esmm` is for
tasks of which one follows the other. A balancer (docs/balancers.md) is worth most here.
Paper: Caruana, Machine Learning 28, 1997. Our reading: docs/papers/shared_bottom.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned
from headrace.nn.task_scorer import TaskLogits, TaskScorer, TaskTower
from headrace.nn.tower import tower
from headrace.objectives.tasks import TasksConfig, learned_tasks


@config
class SharedBottomConfig(TasksConfig):
    bottom: tuple[int, ...] = (64,)
    """Layers all tasks have in common."""
    hidden: tuple[int, ...] = (32,)
    """Layers of each task's own."""


class TaskTowers(nn.Module):
    """z [.., D] -> a logit [..] a task."""

    def __init__(self, width: int, tasks: Sequence[str], hidden: Sequence[int], dropout: float):
        super().__init__()
        self.tasks = tuple(tasks)
        self.towers = nn.ModuleList(TaskTower(width, hidden, dropout) for _ in tasks)

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        return {task: one(z) for task, one in zip(self.tasks, self.towers, strict=True)}


class SharedBottomBody(nn.Module):
    """x [.., width] -> TaskLogits."""

    def __init__(
        self, width: int, tasks: Sequence[str], *, bottom: Sequence[int] = (64,), hidden: Sequence[int] = (32,),
        dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.bottom, out = tower(width, bottom, dropout)
        self.heads = TaskTowers(out, tasks, hidden, dropout)

    def forward(self, x: Tensor) -> TaskLogits:
        z = self.bottom(x)
        return TaskLogits(self.heads(z), z)


class SharedBottom(TaskScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists, of several tasks."""

    Config = SharedBottomConfig
    revision = 1
    config: SharedBottomConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_tasks(self, interactions, artifacts)

    def _body(self, width: int) -> nn.Module:
        one = self.config
        return SharedBottomBody(width, self.tasks, bottom=one.bottom, hidden=one.hidden, dropout=one.dropout)
