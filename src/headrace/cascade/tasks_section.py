"""[tasks.NAME], what may become of an impression, and the ones that a stage learns: [rank] task = "click", or a list of them.

The first of a list is the main one: which impressions there are to learn from is its say, and so is a calibration.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from headrace.build.components import component_class
from headrace.cascade.sections import Prerank, Rank
from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.kinds import Kind
from headrace.data.labels import TaskConfig
from headrace.nn.task_scorer import WORTH
from headrace.objectives.pseudo import PSEUDO

TAKEN = (PSEUDO, WORTH)
"""Names of losses and logits that a ranker of several tasks has besides its tasks'."""


def tasks_section(section: Mapping[str, Any], kinds: Mapping[str, Kind], where: str) -> dict[str, TaskConfig]:
    found = {}
    for name, values in section.items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where}: [tasks] {name} is {values!r}, expected a section [tasks.{name}].")
        found[name] = task = parse(TaskConfig, values, where=f"{where} [tasks.{name}]")
        if kinds and task.event not in kinds:
            raise ConfigError(
                f'{where} [tasks.{name}]: event = "{task.event}" is not declared.{nearest(task.event, kinds)} '
                f"Declared kinds: {listed(kinds)}."
            )
    return found


def check_tasks(asked: Prerank | Rank, tasks: Mapping[str, TaskConfig], shown: bool, where: str) -> None:
    """What a stage learns is there to be learned. shown: whether the log says what was."""
    if asked.learn_from == "proposals":
        if asked.tasks:
            raise ConfigError(
                f'{where}: task = "{asked.tasks[0]}" is of impressions, and learn_from is "proposals". '
                'Set learn_from = "impressions".'
            )
        return
    if not asked.tasks:
        raise ConfigError(f'{where}: learn_from = "impressions" needs a task. Name one of: {listed(tasks) or "[tasks.NAME]"}.')
    for at, name in enumerate(asked.tasks):
        if name not in tasks:
            raise ConfigError(
                f'{where}: task = "{name}" is not a task.{nearest(name, tasks)} '
                f"Tasks: {listed(tasks) or 'none; add [tasks.' + name + ']'}."
            )
        if name in asked.tasks[:at]:
            raise ConfigError(f'{where}: task names "{name}" twice. Each task is learned once: leave one of them out.')
    for one, other in combinations(asked.tasks, 2):
        if as_dict(tasks[one]) == as_dict(tasks[other]):
            raise ConfigError(
                f'{where}: task names "{one}" and "{other}", and [tasks.{one}] and [tasks.{other}] are the same: event, window_h '
                "and credit. Leave one of them out, or change what it counts."
            )
    if len(asked.tasks) > 1 and (taken := [name for name in asked.tasks if name in TAKEN]):
        raise ConfigError(
            f'{where}: a task can\'t be called "{taken[0]}" beside others: a ranker of several tasks has something of that name. '
            f"Rename [tasks.{taken[0]}]."
        )
    if not shown:
        raise ConfigError(f'{where}: learn_from = "impressions" needs what was shown: [data] requests and candidates.')


def check_several(asked: Prerank | Rank, kind: Any, table: Mapping[str, str], where: str) -> None:
    """kind: the stage's component. One of one task can't learn a list of them, nor one of several a single task."""
    if len(asked.tasks) < 2 and takes_several(kind):
        raise ConfigError(
            f'{where}: "{asked.use}" ranks by several tasks, and task names {listed(asked.tasks) or "none"}. Set learn_from = '
            '"impressions" and task = ["...", "..."], the main one first.'
        )
    if len(asked.tasks) > 1 and not takes_several(kind):
        able = [name for name in table if takes_several(component_class(name, table, where))]
        raise ConfigError(
            f'{where}: "{asked.use}" learns one task, and task names {len(asked.tasks)}: {listed(asked.tasks)}. '
            f"Of several: {listed(able) or 'none of this stage'}. Or name one task."
        )


def takes_several(kind: Any) -> bool:
    """Those are told which (`nn.task_scorer`)."""
    return hasattr(kind, "of_tasks")


def check_calibrated(rank: Rank, settings: Any, where: str) -> None:
    """What orders by worth has a first score that is no probability."""
    if rank.calibrate is not None and getattr(settings, WORTH, None):
        raise ConfigError(
            f'{where}: calibrate = "{rank.calibrate}" makes the main task\'s probabilities right, and with [rank.{rank.use}] '
            "worth the score that orders is what all tasks are worth together, no probability. Leave one of the two out."
        )
