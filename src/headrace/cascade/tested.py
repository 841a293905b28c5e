"""Scorers' predictions held against what became of the impressions of the test window, task by task, in two populations.

impressions     as the log's policies chose them: all that was shown and whose window has closed
drawn from      what they chose from: the impressions of first slots, each weighed by 1 / propensity (`first_slots`)

A scorer reads all that was retrieved and learns from what was shown, so its probabilities can hold on the one and not on the
other. Baseline: the share of positives among the impressions of training, the same for each, so its AUC and GAUC are one half and
its NE is near 1. Cost: that of scoring the lists once a ranker, and of `evaluate.predictions`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headrace.cascade.first_slots import Weights, weights
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.scoring import Scoring, propose, with_pairs
from headrace.cascade.shown import Impressions
from headrace.cascade.validation import all_logits_for
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Bool, Candidates, Float32, Float64, Requests
from headrace.evaluate.predictions import METRICS, ORDER, WEIGHTED, compare_predictions
from headrace.evaluate.rows import Row

IMPRESSIONS, DRAWN_FROM = "impressions", "drawn from (1 / propensity)"


@dataclass(frozen=True)
class Tested:
    """lists: the impressions among what the cascade proposes. drawn_p [R, C]: `first_slots.drawn_p`. rates: of each task, the
    share of positives among the impressions of training."""

    pipeline: Pipeline
    stage: str
    shown: Impressions
    lists: CandidateLists
    drawn_p: Float32
    rates: Mapping[str, float]

    @property
    def tasks(self) -> list[str]:
        return list(self.rates)

    def known(self, task: str) -> Bool:
        """[R, C]."""
        assert self.lists.known is not None
        return ~np.isnan(self.lists.tasks[task]) if self.lists.tasks else self.lists.known

    def label(self, task: str) -> Float32:
        """Of the known ones, [N]."""
        return self.lists.tasks.get(task, self.lists.label)[self.known(task)]

    def first_slots(self, task: str) -> tuple[Bool, Weights]:
        """Which of the known ones [N] were drawn first with a chance that is logged, and what each of these weighs."""
        p = self.drawn_p[self.known(task)]
        first = ~np.isnan(p)
        return first, weights(p[first])

    def base_rate(self, task: str) -> Float64:
        """The prediction that knows nothing but how often it happens, [N]."""
        return np.full(len(self.label(task)), self.rates[task])

    def of_tasks(self, scorer: Any) -> dict[str, Float32]:
        """What a ranker makes of the candidates, [R, C] for each task that it knows: one of a single task, the main one."""
        logits = all_logits_for(scorer, self.lists)
        known = {name: logits[name] for name in self.tasks if name in logits}
        return known or {self.tasks[0]: next(iter(logits.values()))}

    def rows(self, predictions: Mapping[str, Float64], task: str, *, baseline: str, probable: bool) -> list[Row]:
        """predictions: method -> [N], those of the known ones. The impressions' rows first. probable: they are probabilities."""
        if not len(self.label(task)):
            return []
        everyone = np.ones(len(self.label(task)), np.bool_)
        rows = self._rows(predictions, task, everyone, None, baseline, METRICS if probable else ORDER)
        first, weighed = self.first_slots(task)
        if not probable or not first.any():
            return rows
        return rows + self._rows(predictions, task, first, weighed.values, baseline, WEIGHTED)

    def split(self, population: str, task: str) -> str:
        """Under which name a population's rows stand."""
        return f"{self.pipeline.split_name}, {population}{' of' if population == IMPRESSIONS else ','} {task}"

    def _rows(
        self, predictions: Mapping[str, Float64], task: str, kept: Bool, weighed: Float64 | None, baseline: str,
        metrics: Sequence[str],
    ) -> list[Row]:  # fmt: skip
        known, plan = self.known(task), self.pipeline.plan.evaluate
        users = np.broadcast_to(self.lists.requests.users[:, None], known.shape)[known]
        return compare_predictions(
            {name: p[kept] for name, p in predictions.items()}, self.label(task)[kept], users[kept], stage=self.stage,
            split=self.split(IMPRESSIONS if weighed is None else DRAWN_FROM, task), baseline=baseline, metrics=metrics,
            weights=weighed, seed=plan.seed, resamples=plan.resamples,
        )  # fmt: skip


def tested(pipeline: Pipeline, stage: str) -> Tested:
    """stage: one that learns from impressions."""
    plan, cuts, tasks = pipeline.plan, pipeline.cuts, pipeline.plan.tasks_of(stage)
    shown = Impressions.between(
        pipeline.tables.path, pipeline.log, tasks, cuts.asked_us, cuts.last_us + 1, plan.evaluate.most_requests
    )
    counts = pipeline.candidate_lists(stage).manifest.metrics
    of_tasks = counts.get("tasks", {next(iter(tasks)): counts})
    rates = {name: of_tasks[name]["positive"] / of_tasks[name]["labelled"] for name in tasks}
    requests = pipeline.requests_of(shown.users, shown.at_us)
    lists = _among_proposals(pipeline, stage, shown, requests)
    return Tested(pipeline, stage, shown, lists, shown.among(lists.candidates.items, shown.drawn_p), rates)


def _among_proposals(pipeline: Pipeline, stage: str, shown: Impressions, requests: Requests) -> CandidateLists:
    """As the served cascade would propose for the requests and hand on to the stage."""
    retrievers = {name: pipeline.load_retriever(name, final=True) for name in pipeline.plan.retrieve.use}
    before: list[Scoring] = [pipeline.scoring(one) for one in pipeline.scoring_stages[: pipeline.scoring_stages.index(stage)]]

    def proposing(part: Requests, asked: Candidates) -> Candidates:
        allowed = pipeline.allowed(part, pipeline.cuts.test_us)
        return propose(retrievers, part, pipeline.plan.retrieve.k, allowed, asked)

    def progress(done: int, of: int) -> None:
        pipeline.graph.progress("impressions", done, of)

    if not len(shown):  # nothing to propose for: there is no list to stack
        return CandidateLists(
            requests, Candidates(shown.items, {}), shown.label, np.zeros(shown.items.shape, np.bool_), shown.tasks
        )  # fmt: skip
    lists = shown.lists(requests, proposing, before, pipeline.feature_object, progress)
    return replace(lists, candidates=with_pairs(pipeline.feature_object, requests, lists.candidates))
