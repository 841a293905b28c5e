"""MMoE: tasks share experts, and each weighs them anew for every row.

    m_t = sum_e softmax(W_t x)_e f_e(x),      logit_t = h_t(m_t)

Shapes: x [.., D] -> experts [.., E, k] -> logits [..] a task. Cost: E towers, and a gate (D · E) and a small tower a task.
The cut (`shared`) is [f_1(x), .., f_E(x), x], E · k + D numbers: gates read x, so x is part of what two tasks have in common;
gates and towers, each one task's, stand behind it. A balancer at the cut pays for D too.
Use it where `shared_bottom` makes one task pay for another, with tasks that are related by degrees. It loses where tasks are
alike (one tower is enough), and where they disagree so far that no expert serves two: `ple` keeps some apart. On small logs a
gate may fall on one expert and stay there.
Paper: Ma et al., KDD 2018. Our reading: docs/papers/mmoe.md.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Gt
from torch import Tensor, nn

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned
from headrace.nn.mixture import Experts, Gate
from headrace.nn.task_scorer import TaskLogits, TaskScorer, TaskTower
from headrace.objectives.tasks import TasksConfig, learned_tasks


@config
class MMoEConfig(TasksConfig):
    experts: Annotated[int, Gt(0)] = 4
    expert_hidden: tuple[int, ...] = (32,)
    """Layers of each expert."""
    hidden: tuple[int, ...] = (32,)
    """Layers of each task's own."""


class GatedTowers(nn.Module):
    """z [.., E · k + D]: experts' outputs, then what gates read -> a logit [..] a task."""

    def __init__(self, experts: Experts, width: int, tasks: Sequence[str], hidden: Sequence[int], dropout: float):
        super().__init__()
        self.tasks, self.sizes = tuple(tasks), [experts.size, width]
        self.shape = (experts.number, experts.width)
        self.gates = nn.ModuleList(Gate(width, experts.number) for _ in tasks)
        self.towers = nn.ModuleList(TaskTower(experts.width, hidden, dropout) for _ in tasks)

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        flat, x = torch.split(z, self.sizes, -1)
        experts = flat.reshape(*flat.shape[:-1], *self.shape)
        each = zip(self.tasks, self.gates, self.towers, strict=True)
        return {task: one(gate(x, experts)) for task, gate, one in each}


class MMoEBody(nn.Module):
    """x [.., width] -> TaskLogits."""

    def __init__(
        self, width: int, tasks: Sequence[str], *, experts: int = 4, expert_hidden: Sequence[int] = (32,),
        hidden: Sequence[int] = (32,), dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.experts = Experts(experts, width, expert_hidden, dropout)
        self.heads = GatedTowers(self.experts, width, tasks, hidden, dropout)

    def forward(self, x: Tensor) -> TaskLogits:
        z = torch.cat([self.experts(x).flatten(-2), x], -1)
        return TaskLogits(self.heads(z), z)


class MMoE(TaskScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists, of several tasks."""

    Config = MMoEConfig
    revision = 1
    config: MMoEConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_tasks(self, interactions, artifacts)

    def _body(self, width: int) -> nn.Module:
        one = self.config
        return MMoEBody(
            width, self.tasks, experts=one.experts, expert_hidden=one.expert_hidden, hidden=one.hidden, dropout=one.dropout
        )
