"""ESMM: the first task is the click, every other what follows it, and all are learned from everything that was shown.

    p(click) = σ(a(x)),   p(t) = σ(a(x)) · σ(b_t(x)),      both losses over the entire space

so that b_t, how likely t is after a click, is never asked where it isn't known, and never fitted on clicks alone, which are
another population than what is shown. The logit of a product of sigmoids is -log(e^-a + e^-b + e^-(a + b)): exact at any size.
Shapes: x [.., D] -> logits [..] a task, of p(t), not of b_t. Cost: a tower a task, nothing in common but the embeddings.
The cut (`shared`) is [x, a]: x because the towers meet in it (the joined input, behind its norm), a because every other task's
loss goes through the click's tower too. So the click's tower stands before the cut, and the others' behind it.
Use it where t happens after the click or not at all, and is rare. It loses where t also comes without a click (p(t) can't be
above p(click)), and where tasks are merely related: there `mmoe` and `ple` share more than embeddings.
Paper: Ma et al., SIGIR 2018. Our reading: docs/papers/esmm.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned
from headrace.nn.task_scorer import TaskLogits, TaskScorer, TaskTower
from headrace.objectives.tasks import TasksConfig, learned_tasks


@config
class ESMMConfig(TasksConfig):
    hidden: tuple[int, ...] = (64, 32)
    """Layers of each task's tower."""


def both(a: Tensor, b: Tensor) -> Tensor:
    """The logit of σ(a) σ(b)."""
    return -torch.stack([-a, -b, -a - b]).logsumexp(0)


class AfterClick(nn.Module):
    """z [.., D + 1]: x, then the click's logit -> a logit [..] a task."""

    def __init__(self, width: int, tasks: Sequence[str], hidden: Sequence[int], dropout: float):
        super().__init__()
        self.click, *self.others = tasks
        self.towers = nn.ModuleList(TaskTower(width, hidden, dropout) for _ in self.others)

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        x, click = z[..., :-1], z[..., -1]
        each = zip(self.others, self.towers, strict=True)
        return {self.click: click, **{task: both(click, one(x)) for task, one in each}}


class ESMMBody(nn.Module):
    """x [.., width] -> TaskLogits. tasks: the click first."""

    def __init__(self, width: int, tasks: Sequence[str], *, hidden: Sequence[int] = (64, 32), dropout: float = 0.1):
        super().__init__()
        self.click = TaskTower(width, hidden, dropout)
        self.heads = AfterClick(width, tasks, hidden, dropout)

    def forward(self, x: Tensor) -> TaskLogits:
        z = torch.cat([x, self.click(x).unsqueeze(-1)], -1)
        return TaskLogits(self.heads(z), z)


class ESMM(TaskScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists, of several tasks, the click first."""

    Config = ESMMConfig
    revision = 1
    config: ESMMConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_tasks(self, interactions, artifacts)

    def _body(self, width: int) -> nn.Module:
        return ESMMBody(width, self.tasks, hidden=self.config.hidden, dropout=self.config.dropout)
