"""Rankers that say how likely each of several things is: one body over what a user and a candidate are, a logit a task.

    x = LN([user, taste, liked, item, features, products, popularity, what retrievers said, pair]),   body(x) -> a logit a task

A body is a module `Body(width, tasks, ...)` that knows nothing of users and items, so that a plain table's rows go through the
same one. It gives `TaskLogits(logits, shared)`, and `shared` is a cut: every way from a task's loss to a parameter that two
tasks hang on goes through it. So a balancer sees there, in one tensor, all that the tasks disagree on. What stands behind the
cut is one module, `body.heads`, called with it.

    worth = log sum_t worth_t p_t        where the settings have `worth`; it comes first, and orders; else the first task's logit

Shapes: x [.., D] -> logits [..] a task. Cost: the pooled scorer's, and the body's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Outputs, State
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.pooled_scorer import PooledScorer
from headrace.nn.tower import tower

WORTH = "worth"
_BETWEEN = "\0"


@dataclass(frozen=True)
class TaskLogits:
    """logits: task -> [..]. shared: what all of them are read from, as far as two of them have it in common."""

    logits: dict[str, Tensor]
    shared: Tensor


class TaskTower(nn.Module):
    """A task's own layers: [.., D] -> its logit [..]."""

    def __init__(self, width: int, hidden: Sequence[int], dropout: float):
        super().__init__()
        self.deep, out = tower(width, hidden, dropout)
        self.head = nn.Linear(out, 1)

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.head(self.deep(x)).squeeze(-1)
        return logit


class TaskScorer(PooledScorer):
    """A learned `Scorer` of several tasks. A subclass makes its body in `_body`, and learns by `objectives.tasks`.

    tasks: their names, the main one first; from the lists when it learns, from its arrays when it is read.
    """

    head_at = "body.heads"
    tasks: tuple[str, ...]
    norm: nn.Module
    body: nn.Module

    def of_tasks(self, tasks: Sequence[str]) -> Self:
        """Before its parameters are made."""
        self.tasks = tuple(tasks)
        # as bytes: arrays hold no text, and a file gives parameters back in an order of its own
        self.register_buffer("task_names", torch.tensor(list(_BETWEEN.join(tasks).encode()), dtype=torch.uint8))
        return self

    @classmethod
    def from_arrays(cls, config: Any, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(config).of_tasks(arrays["task_names"].tobytes().decode().split(_BETWEEN))._filled(arrays)

    @property
    def probabilities(self) -> bool:
        """Each task's logit is one of a probability; what all of them are worth together is none."""
        return not self.config.worth

    def score(self, state: State, candidates: Batch) -> Outputs:
        found = self.body(self.norm(self.joined(state, candidates)))
        logits, worth = found.logits, self.config.worth
        if worth:
            logits = {WORTH: worth_of(logits, worth), **logits}
        return Outputs(logits, shared=found.shared)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        self.fields = FieldEmbeddings(shapes, self.config.item_dim, self.config.feature_dim)
        width = self.joined_width(stages)
        self.norm, self.body = nn.LayerNorm(width), self._body(width)

    def _body(self, width: int) -> nn.Module:
        """[.., width] -> TaskLogits of `tasks`."""
        raise NotImplementedError


def worth_of(logits: Mapping[str, Tensor], worth: Mapping[str, float]) -> Tensor:
    """log sum_t worth_t sigmoid(logit_t), over the tasks that are worth something."""
    terms = [logsigmoid(logits[task]) + log(value) for task, value in worth.items()]
    return torch.stack(terms).logsumexp(0)
