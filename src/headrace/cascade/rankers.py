"""Rankers side by side, or one ranker trained by several balancers: all on the plan's own candidates, paired by user.

    compare_rankers     each named ranker in the plan's place of one; tests are against the first named
    compare_balancers   the plan's ranker of several tasks, once a balancer; tests are against the plain sum of the losses

Each is trained as a stage, so what a store holds is not trained again and a run that is stopped goes on. Where the plan learns
from impressions they are measured on those of the test window, a table a task (`tested`); where it learns from proposals, on the
order that they give the test requests' candidates. Nothing is calibrated here: what is compared is what was learned.
Cost: a training each, and one pass over the lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headrace.balance import BALANCERS
from headrace.build.components import component_class, settings_of
from headrace.cascade.evaluation import deepest, test_requests, wide
from headrace.cascade.join import stacked
from headrace.cascade.judge import Judge
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import Plan, trusted
from headrace.cascade.pseudo_section import check_pseudo
from headrace.cascade.scoring import Scoring, propose, score, with_pairs
from headrace.cascade.tasks_section import check_several, takes_several
from headrace.cascade.tested import tested
from headrace.cascade.validation import probabilities
from headrace.contracts.config import as_dict
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.manifest import Manifest
from headrace.contracts.requests import Candidates, Float32
from headrace.evaluate.lists import RankedLists
from headrace.evaluate.rows import Row
from headrace.methods.rank import RANKERS

PLAIN = "equal"
_STAGE = "rank"
_AT_ONCE = 256


@dataclass(frozen=True)
class SideBySide:
    """rows: a table for each task and population, or one of ranked lists. trained: method -> how its training went.

    unlikely: the methods whose scores are no probabilities; where there is one, the rows are of order alone.
    """

    rows: list[Row]
    trained: Mapping[str, Manifest]
    unlikely: Sequence[str] = ()


def compare_rankers(pipeline: Pipeline, names: Sequence[str]) -> SideBySide:
    """names: of rankers, the baseline first, each with its own [rank.NAME]. One of a single task learns the plan's main one."""
    plain = _uncalibrated(pipeline)
    plans = {name: _with_ranker(plain.plan, name) for name in dict.fromkeys(names)}
    return _side_by_side(plain, plans, next(iter(plans)))


def compare_balancers(pipeline: Pipeline, names: Sequence[str]) -> SideBySide:
    """names: of balancers; the plain sum is always among them. The one in the plan's train section keeps its settings there."""
    plain = _uncalibrated(pipeline)
    plan = plain.plan
    if len(plan.tasks_of(_STAGE)) < 2:
        able = [name for name in RANKERS if takes_several(component_class(name, RANKERS, plan.where))]
        raise ConfigError(
            f'{plan.where} [rank]: "{plan.rank.use}" learns {listed(plan.rank.tasks) or "no task"}, so there is nothing to '
            f'balance. Set learn_from = "impressions", use = one of {listed(able)} and task = two or more of: '
            f"{listed(plan.tasks) or 'your [tasks.NAME]'}."
        )
    for name in names:
        component_class(name, BALANCERS, "--balance", trusted=(name,))
    plans = {name: _with_balancer(plan, name) for name in dict.fromkeys((PLAIN, *names))}
    return _side_by_side(plain, plans, PLAIN)


def _uncalibrated(pipeline: Pipeline) -> Pipeline:
    """Its pre-ranker is the plan's, by whomever that is taught."""
    rank = replace(pipeline.plan.rank, calibrate=None, calibrate_by=None)
    return replace(pipeline, plan=replace(pipeline.plan, rank=rank, teaching=pipeline.plan))


def _side_by_side(pipeline: Pipeline, plans: Mapping[str, Plan], baseline: str) -> SideBySide:
    """pipeline: makes the lists, since what stands before the ranker is the same in all plans."""
    trained = {name: replace(pipeline, plan=plan).scorer(_STAGE).manifest for name, plan in plans.items()}
    scorings = ((name, replace(pipeline, plan=plan).scoring(_STAGE)) for name, plan in plans.items())
    if not pipeline.plan.tasks_of(_STAGE):
        return SideBySide(_on_lists(pipeline, dict(scorings), baseline), trained)
    rows, unlikely = _on_impressions(pipeline, scorings, baseline)
    return SideBySide(rows, trained, unlikely)


def _on_impressions(pipeline: Pipeline, scorings: Iterator[tuple[str, Scoring]], baseline: str) -> tuple[list[Row], list[str]]:
    found = tested(pipeline, _STAGE)
    logits: dict[str, dict[str, Float32]] = {task: {} for task in found.tasks}
    unlikely = []
    for name, scoring in scorings:
        of_tasks = found.of_tasks(scoring.scorer)
        for task, values in of_tasks.items():
            logits[task][name] = values[found.known(task)]
        if len(of_tasks) == 1 and not getattr(scoring.scorer, "probabilities", False):
            unlikely.append(name)
    rows: list[Row] = []
    for task, methods in logits.items():
        if methods:
            against = baseline if baseline in methods else next(iter(methods))
            said = {name: one.astype(np.float64) if unlikely else probabilities(one) for name, one in methods.items()}
            rows += found.rows(said, task, baseline=against, probable=not unlikely)
    return rows, unlikely


def _on_lists(pipeline: Pipeline, scorings: Mapping[str, Scoring], baseline: str) -> list[Row]:
    requests, answers = test_requests(pipeline)
    wanted, k = deepest(pipeline), pipeline.plan.retrieve.k
    retrievers = {name: pipeline.load_retriever(name, final=True) for name in pipeline.plan.retrieve.use}
    before = [pipeline.scoring(stage) for stage in pipeline.scoring_stages[:-1]]
    parts: dict[str, list[Candidates]] = {name: [] for name in scorings}
    for rows, part in requests.chunks(_AT_ONCE):
        proposed = propose(retrievers, part, k, pipeline.allowed(part, pipeline.cuts.test_us))
        candidates = score(before, part, with_pairs(pipeline.feature_object, part, proposed))
        for name, scoring in scorings.items():
            best = score([replace(scoring, keep=wanted)], part, candidates)
            parts[name].append(Candidates(best.items, {}))
        pipeline.graph.progress("evaluate", rows.stop, len(requests))
    lists = {name: RankedLists(requests.users, wide(stacked(found).items, wanted)) for name, found in parts.items()}
    return Judge(pipeline, requests, answers).rows(_STAGE, lists, baseline=baseline)


def _with_ranker(plan: Plan, name: str) -> Plan:
    kind, tasks = component_class(name, RANKERS, "--rank", trusted=(name,)), plan.rank.tasks
    task: str | tuple[str, ...] | None = tasks if takes_several(kind) else next(iter(tasks), None)
    rank = replace(plan.rank, use=name, task=task)
    check_several(rank, kind, RANKERS, f"{plan.where} [rank]")
    made = replace(plan, rank=rank)
    if rank.pseudo is not None:
        check_pseudo(made, _STAGE, RANKERS, (*trusted(made), name))
    return made


def _with_balancer(plan: Plan, name: str) -> Plan:
    """All else as the plan's ranker has it, defaults too: a section that names a balancer alone would lose these."""
    use, where = plan.rank.use, f"{plan.where} [rank.{plan.rank.use}]"
    kind = component_class(use, RANKERS, where, trusted(plan))
    own = as_dict(settings_of(kind, plan.of(_STAGE, use), where))
    if "train" not in own:
        raise ConfigError(f'{where}: "{use}" is not trained by gradients, so no balancer has a say in it.')
    kept = own["train"]["balancer_settings"] if own["train"]["balancer"] == name else {}
    own["train"] |= {"balancer": name, "balancer_settings": kept}
    return replace(plan, settings={**plan.settings, _STAGE: {**plan.settings.get(_STAGE, {}), use: own}})
