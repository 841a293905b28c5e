"""PLE: some experts are every task's and some one task's alone, in levels that draw them further and further apart.

    a level l, of inputs x_t (each task's) and x_0 (what is common); x_t = x_0 = x at the first:
    m_t = sum_e softmax(W_t x_t)_e [common experts(x_0), t's own experts(x_t)]_e           -> the next level's x_t
    m_0 = sum_e softmax(W_0 x_0)_e [common experts(x_0), the own experts of all]_e         -> the next level's x_0
    logit_t = h_t(m_t of the last level, which needs no m_0)

Shapes: x [.., D] -> S common and m · O own experts [.., k] a level -> logits [..] a task. Cost: levels · (S + m · O) towers: it
grows with the tasks, as `mmoe`'s experts don't.
The cut (`shared`) lies in the last level: its common experts' outputs and each task's x_t, S · k + m · k numbers (S · k + D with
one level). The last level's own experts and gates are one task's alone and stand behind it; own experts of earlier levels are
not, since every other task reads them through m_0.
Use it where `mmoe` makes one task pay for another: what a task learned alone has a place that no other writes to. It loses on
small logs, having the most weights of the four, and where tasks are alike.
Paper: Tang et al., RecSys 2020 (CGC is the one-level form). Our reading: docs/papers/ple.md.
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
class PLEConfig(TasksConfig):
    levels: Annotated[int, Gt(0)] = 2
    """1 is CGC."""
    shared_experts: Annotated[int, Gt(0)] = 2
    own_experts: Annotated[int, Gt(0)] = 1
    """Of each task, a level."""
    expert_hidden: tuple[int, ...] = (32,)
    """Layers of each expert."""
    hidden: tuple[int, ...] = (32,)
    """Layers of each task's own."""


class Extraction(nn.Module):
    """A level below the last: own [m] of [.., width] and common [.., width] -> the same of what it makes of them."""

    def __init__(self, width: int, tasks: int, shared: int, own: int, hidden: Sequence[int], dropout: float):
        super().__init__()
        self.shared = Experts(shared, width, hidden, dropout)
        self.own = nn.ModuleList(Experts(own, width, hidden, dropout) for _ in range(tasks))
        self.gates = nn.ModuleList(Gate(width, shared + own) for _ in range(tasks))
        self.common = Gate(width, shared + tasks * own)

    def forward(self, own: Sequence[Tensor], common: Tensor) -> tuple[list[Tensor], Tensor]:
        shared = self.shared(common)
        apart = [experts(x) for experts, x in zip(self.own, own, strict=True)]
        mixed = [gate(x, torch.cat([shared, mine], -2)) for gate, x, mine in zip(self.gates, own, apart, strict=True)]
        return mixed, self.common(common, torch.cat([shared, *apart], -2))


class LastLevel(nn.Module):
    """z: common experts' outputs, then what each task's own experts and gate read (once, if it is the same for all)."""

    def __init__(
        self, shared: Experts, width: int, tasks: Sequence[str], own: int, expert_hidden: Sequence[int], hidden: Sequence[int],
        dropout: float, *, apart: bool,
    ):  # fmt: skip
        super().__init__()
        self.tasks, self.sizes = tuple(tasks), [shared.size, *[width] * (len(tasks) if apart else 1)]
        self.shape = (shared.number, shared.width)
        self.own = nn.ModuleList(Experts(own, width, expert_hidden, dropout) for _ in tasks)
        self.gates = nn.ModuleList(Gate(width, shared.number + own) for _ in tasks)
        self.towers = nn.ModuleList(TaskTower(shared.width, hidden, dropout) for _ in tasks)

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        flat, *read = torch.split(z, self.sizes, -1)
        shared, logits = flat.reshape(*flat.shape[:-1], *self.shape), {}
        read = read if len(read) == len(self.tasks) else read * len(self.tasks)
        for task, x, experts, gate, top in zip(self.tasks, read, self.own, self.gates, self.towers, strict=True):
            logits[task] = top(gate(x, torch.cat([shared, experts(x)], -2)))
        return logits


class PLEBody(nn.Module):
    """x [.., width] -> TaskLogits."""

    def __init__(
        self, width: int, tasks: Sequence[str], *, levels: int = 2, shared_experts: int = 2, own_experts: int = 1,
        expert_hidden: Sequence[int] = (32,), hidden: Sequence[int] = (32,), dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.tasks, made = len(tasks), list[nn.Module]()
        for _ in range(levels - 1):
            level = Extraction(width, len(tasks), shared_experts, own_experts, expert_hidden, dropout)
            made, width = [*made, level], level.shared.width
        self.levels = nn.ModuleList(made)
        self.shared = Experts(shared_experts, width, expert_hidden, dropout)
        self.heads = LastLevel(self.shared, width, tasks, own_experts, expert_hidden, hidden, dropout, apart=levels > 1)

    def forward(self, x: Tensor) -> TaskLogits:
        own, common = [x] * self.tasks, x
        for level in self.levels:
            own, common = level(own, common)
        z = torch.cat([self.shared(common).flatten(-2), *(own if self.levels else [x])], -1)
        return TaskLogits(self.heads(z), z)


class PLE(TaskScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists, of several tasks."""

    Config = PLEConfig
    revision = 1
    config: PLEConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_tasks(self, interactions, artifacts)

    def _body(self, width: int) -> nn.Module:
        one = self.config
        return PLEBody(
            width, self.tasks, levels=one.levels, shared_experts=one.shared_experts, own_experts=one.own_experts,
            expert_hidden=one.expert_hidden, hidden=one.hidden, dropout=one.dropout,
        )  # fmt: skip
