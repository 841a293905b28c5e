"""Where a scorer learns from impressions: its scores held against what became of the impressions of the test window.

Rows of each such stage, the ranker's first, under splits that say so, since they are about other requests than the rest of the
report: what the log's own policies chose to show and what they chose it from (`tested`), not what this cascade would show. Of
several tasks each has its rows, the main one's impressions first. A scorer whose scores are no probabilities has rows of order
alone, of impressions. A ranker that is calibrated has rows of what it says before and of what is served; a calibration is of the
main task.
"""

from typing import Any

from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import Plan
from headrace.cascade.tested import Tested, tested
from headrace.cascade.validation import probabilities
from headrace.contracts.requests import Float64
from headrace.data.labels import TaskConfig
from headrace.evaluate.charts import Reliability, reliability
from headrace.evaluate.rows import Row

BASE_RATE = "base rate"
_STAGE = "rank"


def served(plan: Plan) -> str:
    """Under which name the rows of what the cascade serves stand."""
    return plan.rank.use if plan.rank.calibrate is None else f"{plan.rank.use}, {plan.rank.calibrate}"


def served_rows(plan: Plan, rows: list[Row]) -> list[Row]:
    """Of `measure_impressions`: what the cascade serves, on impressions of the main task."""
    return [row for row in rows if (row.stage, row.method, row.split) == (_STAGE, served(plan), rows[0].split)]


def measure_impressions(pipeline: Pipeline) -> tuple[list[Row], dict[str, Any], list[Reliability]]:
    """Rows, a group of facts for each scorer that learns from impressions, and curves of what gives probabilities; none where
    none does."""
    groups: dict[str, Any] = {}
    for stage in pipeline.scoring_stages:
        counts = pipeline.candidate_lists(stage).manifest.metrics
        for name, task in pipeline.plan.tasks_of(stage).items():
            of_task = counts.get("tasks", {}).get(name, counts)
            groups[_group(pipeline.plan, stage, name)] = _facts(name, task, of_task)
    rows, curves = list[Row](), list[Reliability]()
    for stage in reversed(pipeline.scoring_stages):
        if pipeline.plan.tasks_of(stage):
            found = tested(pipeline, stage)
            _tell(found, groups)
            if len(found.shown):
                more, theirs = _measured(found)
                rows, curves = rows + more, curves + theirs
    return rows, groups, curves


def _tell(found: Tested, groups: dict[str, Any]) -> None:
    for name, task in found.pipeline.plan.tasks_of(found.stage).items():
        group = groups[_group(found.pipeline.plan, found.stage, name)]
        group["tested on"] = _told(found.shown.of_tasks.get(name, found.shown.counts), task, "the log's end")
        group["what it was drawn from"] = _drawn(found, name)


def _measured(found: Tested) -> tuple[list[Row], list[Reliability]]:
    predictions, probable = _predicted(found), _probable(found.pipeline, found.stage)
    rows: list[Row] = []
    for name, methods in predictions.items():
        rows += found.rows(methods, name, baseline=BASE_RATE, probable=probable)
    curves = [] if not probable else [
        reliability(method if name == found.tasks[0] else f"{method}, {name}", found.label(name), p)
        for name, methods in predictions.items() for method, p in methods.items() if method != BASE_RATE
    ]  # fmt: skip
    return rows, curves


def _predicted(found: Tested) -> dict[str, dict[str, Float64]]:
    """task -> method -> its prediction of each impression whose label is known."""
    scoring, plan = found.pipeline.scoring(found.stage), found.pipeline.plan
    predictions = {}
    for name, logits in found.of_tasks(scoring.scorer).items():
        known = found.known(name)
        mine = probabilities(logits[known]) if _probable(found.pipeline, found.stage) else logits[known].astype(float)
        predictions[name] = {BASE_RATE: found.base_rate(name), scoring.name: mine}
        if scoring.calibrated is not None and name == found.tasks[0]:
            after = scoring.calibrated(logits, found.lists.requests)
            predictions[name][served(plan)] = probabilities(after[known])
    return predictions


def _probable(pipeline: Pipeline, stage: str) -> bool:
    """Whether each task's logit is one of a probability: of several tasks it is, even where their worth together orders."""
    return len(pipeline.plan.tasks_of(stage)) > 1 or bool(getattr(pipeline.scoring(stage).scorer, "probabilities", False))


def _group(plan: Plan, stage: str, task: str) -> str:
    return f"impressions to {stage}" + (f", {task}" if len(plan.tasks_of(stage)) > 1 else "")


def _facts(name: str, task: TaskConfig, counts: dict[str, int]) -> dict[str, str]:
    credit = task.credit.replace("_", " ") if task.credit == "all_impressions" else f"the {task.credit.replace('_', ' ')}"
    return {
        "task": f'{name}: "{task.event}" within {task.window_h:g} hours of being shown, credited to {credit}',
        "learned from": _told(counts, task, "the cut"),
        "outcomes": f"{counts['outcomes']:,}, of which {counts['uncredited']:,} no impression explains; "
        f"{counts['undone']:,} more were taken back",
    }


def _told(counts: dict[str, int], task: TaskConfig, end: str) -> str:
    return (
        f"{counts['labelled']:,} impressions, {counts['positive']:,} positive; {counts['censored']:,} more are censored: they "
        f"were shown less than {task.window_h:g} hours before {end}"
    )


def _drawn(found: Tested, task: str) -> str:
    first, weighed = found.first_slots(task)
    if not first.any():
        return (
            "not known: no impression of a first slot has a propensity of a policy that leaves something to chance, so there are "
            "no rows of it"
        )
    return (
        f"{first.sum():,} impressions of first slots, weighed by 1 / propensity, say as much as {weighed.effective:,.0f} "
        f"of equal weight; {weighed.cut:,} weights are cut at {weighed.most:.3g} times the mean"
    )
