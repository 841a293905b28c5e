"""Where a ranker learns from impressions: its scores held against what became of the impressions of the test window.

Rows of stage "rank", under a split that says so, since they are about other requests than the rest of the report: what the log's
own policies chose to show, not what this cascade would. Baseline: the share of positives among the impressions of training, the
same for each, so its AUC and GAUC are one half and its NE is near 1. A scorer whose scores are no probabilities has rows of
order alone. A ranker that is calibrated has rows of what it says before and of what is served.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import Plan
from headrace.cascade.scoring import propose, with_pairs
from headrace.cascade.shown import Impressions
from headrace.cascade.validation import logits_for, probabilities
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Float64, Requests
from headrace.data.labels import TaskConfig
from headrace.evaluate.charts import Reliability, reliability
from headrace.evaluate.predictions import METRICS, ORDER, compare_predictions
from headrace.evaluate.rows import Row

BASE_RATE = "base rate"
_STAGE = "rank"


def served(plan: Plan) -> str:
    """Under which name the rows of what the cascade serves stand."""
    return plan.rank.use if plan.rank.calibrate is None else f"{plan.rank.use}, {plan.rank.calibrate}"


def measure_impressions(pipeline: Pipeline) -> tuple[list[Row], dict[str, Any], list[Reliability]]:
    """Rows, a group of facts for each scorer that learns from impressions, and curves of what gives probabilities; none where
    none does."""
    groups = {}
    for stage in pipeline.scoring_stages:
        task = pipeline.plan.task_of(stage)
        if task is not None:
            counts = pipeline.candidate_lists(stage).manifest.metrics
            groups[f"impressions to {stage}"] = _facts(getattr(pipeline.plan, stage).task, task, counts)
    task = pipeline.plan.task_of(_STAGE)
    if task is None:
        return [], groups, []
    plan, cuts = pipeline.plan, pipeline.cuts
    shown = Impressions.between(
        pipeline.tables.path, pipeline.log, task, cuts.asked_us, cuts.last_us + 1, plan.evaluate.most_requests
    )
    groups[f"impressions to {_STAGE}"]["tested on"] = _told(shown.counts, task, "the log's end")
    if not len(shown):
        return [], groups, []
    lists, predictions = _predicted(pipeline, shown)
    assert lists.known is not None
    users = np.broadcast_to(lists.requests.users[:, None], lists.known.shape)[lists.known]
    rows = compare_predictions(
        predictions,
        lists.label[lists.known],
        users,
        stage=_STAGE,
        split=f"{pipeline.split_name}, impressions of {plan.rank.task}",
        baseline=BASE_RATE,
        metrics=METRICS if _probable(pipeline) else ORDER,
        seed=plan.evaluate.seed,
        resamples=plan.evaluate.resamples,
    )
    curves = {name: p for name, p in predictions.items() if name != BASE_RATE} if _probable(pipeline) else {}
    return rows, groups, [reliability(name, lists.label[lists.known], p) for name, p in curves.items()]


def _predicted(pipeline: Pipeline, shown: Impressions) -> tuple[CandidateLists, dict[str, Float64]]:
    """The impressions among what the served cascade proposes, and each method's prediction of the known ones."""
    cascade, plan = pipeline.cascade(), pipeline.plan
    *before, ranking = cascade.scorings

    def proposing(part: Requests, asked: Candidates) -> Candidates:
        return propose(cascade.retrievers, part, cascade.k, cascade.allowed(part), asked)

    def progress(done: int, of: int) -> None:
        pipeline.graph.progress("impressions", done, of)

    requests = pipeline.requests_of(shown.users, shown.at_us)
    lists = shown.lists(requests, proposing, before, pipeline.feature_object, progress)
    lists = replace(lists, candidates=with_pairs(pipeline.feature_object, requests, lists.candidates))
    every = logits_for(ranking.scorer, lists)
    logits = every[lists.known]
    trained = pipeline.candidate_lists(_STAGE).manifest.metrics
    rate = trained["positive"] / trained["labelled"]
    mine = probabilities(logits) if _probable(pipeline) else logits.astype(np.float64)
    predictions = {BASE_RATE: np.full(len(mine), rate), plan.rank.use: mine}
    if ranking.calibrated is not None:
        predictions[served(plan)] = probabilities(ranking.calibrated(every, requests)[lists.known])
    return lists, predictions


def _probable(pipeline: Pipeline) -> bool:
    return bool(getattr(pipeline.scoring(_STAGE).scorer, "probabilities", False))


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
