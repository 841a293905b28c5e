"""Several tasks of one ranker over candidate lists: a loss each, of one forward.

    loss_t = mean over the candidates whose t is known of  BCE(y_t, f_t)

Shapes: logits, labels [R, C] a task; a label that is not known is NaN and has no part. Cost: the model's pass, O(1) a term.
How the losses weigh against each other stands outside: the train section's balancer, which is told where the tasks meet
(`Loss.shared`). Where the lists have pseudo-labels they are of the first task, in a loss of their own (`objectives.pseudo`).
Use it where tasks lean on each other: a rare one gains from a frequent one that it resembles, and loses to one that it does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError, listed, nearest
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.seams import Learned, Loss, Services
from headrace.contracts.training import TrainConfig
from headrace.data.rank_inputs import LABEL_OF
from headrace.nn.perturb import Perturbation
from headrace.nn.tables import TableConfig
from headrace.nn.task_scorer import WORTH, TaskScorer
from headrace.objectives.choice import Perturb
from headrace.objectives.lspr import Lspr
from headrace.objectives.pointwise import labelled, pointwise
from headrace.objectives.pseudo import PSEUDO, soft


@config
class TasksConfig:
    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    history: Annotated[int, Gt(0)] = 20
    worth: Mapping[str, Annotated[float, Gt(0)]] = field(default_factory=dict)
    """What one of each task is worth; then candidates are ordered by the worth to be expected, else by the first task alone."""
    batch_size: Annotated[int, Gt(0)] = 64
    perturb: Perturb | None = None
    table: TableConfig | None = None
    """Of items' embeddings, where they don't have a row each."""
    pseudo_weight: Annotated[float, Gt(0)] = 0.3
    """λ of what a labeler says of candidates nobody saw, where its stage has one."""
    unshown: Annotated[int, Gt(0)] = 16
    """Of them, so many a request, drawn afresh each epoch."""
    train: TrainConfig = TrainConfig(epochs=10, patience=2, weight_decay=1e-4)
    width: ClassVar[int] = 0
    """No setting: lists are learned whole, as by every ranker of probabilities."""

    def __post_init__(self) -> None:
        if self.perturb is not None and self.perturb.by != "lspr":
            raise ConfigError(f'perturb: several tasks are perturbed by lspr, and by is "{self.perturb.by}". Set by = "lspr".')
        if self.perturb is not None and self.perturb.groups is not None:
            raise ConfigError("perturb: groups are balanced over one task's loss, and this ranker has several. Leave groups out.")


class TaskChoices:
    """tasks: the first is that of the pseudo-labels, where a batch of `data.rank_inputs.ListBatches` has some."""

    def __init__(self, tasks: Sequence[str]):
        self.tasks = tuple(tasks)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        counts = {task: float(known(batch, task).sum()) for task in self.tasks}
        return counts | ({PSEUDO: float((batch["pseudo_weight"] > 0).sum())} if PSEUDO in batch else {})

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        outputs, counts = model.score(model.user(batch), batch), self.counts(batch)
        logits = outputs.logits
        means = {task: pointwise(logits[task], batch[LABEL_OF + task], known(batch, task)) for task in self.tasks}
        if PSEUDO in batch:
            means[PSEUDO] = soft(logits[self.tasks[0]], batch["pseudo"], batch["pseudo_weight"])
        return {name: Loss(mean, counts[name], shared=outputs.shared) for name, mean in means.items()}


def known(batch: Batch, task: str) -> Tensor:
    """[R, C]: the candidates that are there and of which this task's label is known."""
    return labelled(batch) & ~batch[LABEL_OF + task].isnan()


def learned_tasks(scorer: TaskScorer, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
    """scorer: its config is a `TasksConfig`. Its parameters are made."""
    settings, lists = scorer.config, artifacts["candidate_lists"]
    tasks = _tasks_of(lists, settings.worth, type(scorer).__name__)
    pseudo = lists.pseudo is not None
    batches = scorer.of_tasks(tasks).set_up(interactions, artifacts, whole=True, unshown=settings.unshown if pseudo else 0)
    objective, perturb = TaskChoices(tasks), settings.perturb
    if perturb is not None:
        moved = Lspr(objective, Perturbation(perturb.at, perturb.noise, perturb.mask), perturb.alpha)
    weights = {PSEUDO: settings.pseudo_weight} if pseudo else {}
    return Learned(scorer, [objective if perturb is None else moved], batches, needs=scorer.needs, weights=weights)


def _tasks_of(lists: CandidateLists, worth: Mapping[str, float], ranker: str) -> list[str]:
    tasks = list(lists.tasks)
    if len(tasks) < 2:
        given = f'one, "{tasks[0]}"' if tasks else "none"
        raise ConfigError(
            f"{ranker} ranks by several tasks and was given {given}. Give [rank] task = [..] with two or more [tasks.NAME], the "
            "main one first."
        )
    for name in tasks:
        if name in (WORTH, PSEUDO):
            raise ConfigError(
                f'{ranker}: a task is named "{name}", which is what the ranker calls one of its own. Rename the task.'
            )
    for name in worth:
        if name not in tasks:
            raise ConfigError(
                f'{ranker}: worth names "{name}", which is no task of it.{nearest(name, tasks)} It has: {listed(tasks)}.'
            )
    seen = lists.candidates.there if lists.known is None else lists.known & lists.candidates.there
    for name, label in lists.tasks.items():
        told = seen & ~np.isnan(label)
        if not (label[told] > 0).any():
            raise DataError(
                f'{ranker}: nothing can be learned of the task "{name}": of {told.sum():,} candidates whose label is known none '
                "is positive. Give it more days or a longer window, or leave it out of [rank] task."
            )
    return tasks
