"""The cascade measured end to end on the test window, stage by stage, against a named baseline and its own best retriever.

Every step of the window is a request as of its moment, so histories grow as they would when serving; fits stop at the cut.
Rows: each retriever alone (stage "retrieve"), the ranked candidates ("rank"), the page as shown ("page": the price of exploring
is the difference), and how much of what was right is still there after each stage. The best retriever is chosen on a window
before the test one, so the test window has no say in what the cascade is set against.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from headrace.artifacts.store import Draft
from headrace.cascade.calibrating import calibration_told
from headrace.cascade.cascade import Cascade
from headrace.cascade.feature_importance import importances_told
from headrace.cascade.impressions import measure_impressions
from headrace.cascade.join import stacked
from headrace.cascade.judge import BEYOND_K, Judge
from headrace.cascade.mapped_foundation import foundation_told
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.pseudo_labels import pseudo_labels_told
from headrace.cascade.scoring import score
from headrace.cascade.user_sides import sides_told, user_sides
from headrace.cascade.user_state import user_states
from headrace.cascade.validation import ndcg_of_retriever
from headrace.contracts.config import as_dict
from headrace.contracts.requests import Candidates, Float64, History, Int32, Requests
from headrace.evaluate.bootstrap import by_user
from headrace.evaluate.charts import Reliability
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure, parse_metric
from headrace.evaluate.report import versus_in_words
from headrace.evaluate.rows import Row

RECALLED = "recalled"
Losses = list[tuple[str, int, float]]
_AT_ONCE = 256
_REVISION = 5


@dataclass(frozen=True)
class Measured:
    """rows: every figure. losses: (stage, k, recall) from the widest to the page. facts: what the figures are about.

    curves: of rankers that give probabilities of what was shown. timings: by group of facts, figures of the machine they were
    measured on, which no two builds have alike.
    """

    rows: list[Row]
    losses: Losses
    facts: dict[str, Any]
    curves: list[Reliability] = field(default_factory=list)
    timings: dict[str, dict[str, float]] = field(default_factory=dict)


def evaluate_cascade(pipeline: Pipeline) -> Measured:
    """Found again when nothing it depends on has changed."""
    plan = pipeline.plan

    def make(draft: Draft) -> None:
        measured = _measure(pipeline)
        pl.DataFrame([vars(row) for row in measured.rows], infer_schema_length=None).write_parquet(draft.path / "rows.parquet")
        curves = [vars(one) for one in measured.curves]
        draft.metrics = {"losses": measured.losses, "facts": measured.facts, "curves": curves, "timings": measured.timings}

    config, inputs = {**as_dict(plan.evaluate), "seed": plan.seed}, {"generation": pipeline.generation}
    artifact = pipeline.graph.stage("evaluation", make, config=config, inputs=inputs, revision=_REVISION)
    rows = [Row(**values) for values in pl.read_parquet(artifact.path / "rows.parquet").to_dicts()]
    metrics = artifact.manifest.metrics
    losses = [(stage, k, value) for stage, k, value in metrics["losses"]]
    curves = [Reliability(**one) for one in metrics["curves"]]
    return Measured(rows, losses, metrics["facts"], curves, metrics["timings"])


def test_requests(pipeline: Pipeline) -> tuple[Requests, History]:
    """The steps of the test window that everything is judged on."""
    return pipeline.requests(pipeline.cuts.asked_us, pipeline.cuts.last_us + 1, pipeline.plan.evaluate.most_requests)


def deepest(pipeline: Pipeline) -> int:
    """The largest cut-off of what is measured."""
    return max(BEYOND_K, *(parse_metric(metric).k for metric in pipeline.plan.evaluate.metrics))


def _measure(pipeline: Pipeline) -> Measured:
    requests, answers = test_requests(pipeline)
    wanted, cascade = deepest(pipeline), pipeline.cascade()
    found = _answer(pipeline, cascade, requests, wanted)
    lists = {name: RankedLists(requests.users, wide(items, wanted)) for name, items in found.items()}
    judge, alone = Judge(pipeline, requests, answers), _retrievers_alone(pipeline)
    best = max(alone, key=lambda name: alone[name])
    rows: list[Row] = []
    for stage, methods in _stages(pipeline, best).items():
        further = () if stage == "retrieve" else (best,)
        rows += judge.rows(stage, {method: lists[name] for method, name in methods.items()}, further)
    facts = _facts(pipeline, requests, answers) | {"best retriever": _against_best(pipeline, rows, best, alone)}
    shown, more_facts, curves = measure_impressions(pipeline)
    if pipeline.calibration is not None:
        more_facts["calibration of rank"] = calibration_told(pipeline.calibration)
    for stage in pipeline.scoring_stages:
        labels = pipeline.pseudo_labels(stage)
        if labels is not None:
            more_facts[f"pseudo-labels to {stage}"] = pseudo_labels_told(labels)
            more_facts[f"features of {stage}"] = importances_told(pipeline.importances(stage))
    if pipeline.foundation is not None:
        windows = {f"the {stage}er": pipeline.window(stage) for stage in pipeline.scoring_stages}
        more_facts["foundation"] = foundation_told(pipeline.foundation, windows)
    states, group = user_states(cascade, requests), "user state of rank"
    more_facts[group] = {"ranker": pipeline.plan.rank.use, **states.told()}
    sides = user_sides(pipeline, "rank", cascade.scorings[-1].scorer)
    if sides is not None:
        more_facts[group] |= sides_told(sides)
    losses = _losses(pipeline, found, requests, judge.relevant)
    return Measured(rows + shown, losses, facts | more_facts, curves, {group: states.timings()})


def _retrievers_alone(pipeline: Pipeline) -> dict[str, float]:
    """NDCG@10 of each retriever of the cascade on the first scorer's window, as it was fitted before that window."""
    start, end = pipeline.window(pipeline.scoring_stages[0])
    requests, answers = pipeline.requests(start, end, pipeline.plan.evaluate.most_requests)
    available, seen_items = pipeline.log.available(start), pipeline.plan.page.seen_items
    return {
        name: ndcg_of_retriever(pipeline.load_retriever(name, final=False), requests, answers, available, seen_items=seen_items)
        for name in pipeline.plan.retrieve.use
    }


def _against_best(pipeline: Pipeline, rows: list[Row], best: str, alone: Mapping[str, float]) -> dict[str, str]:
    """Which retriever is the best, how it was chosen, and what the ranked list and the page gain or lose against it alone."""
    window = pipeline.cuts.says(*pipeline.window(pipeline.scoring_stages[0]))
    said = {
        "alone": best,
        "chosen by": f"NDCG@10 on {window}, before the test window: "
        + ", ".join(f"{name} {value:.3f}" for name, value in sorted(alone.items(), key=lambda pair: -pair[1])),
    }
    for row in rows:
        if (
            row.stage in ("rank", "page")
            and row.slice == "all"
            and row.baseline == best
            and row.metric in pipeline.plan.evaluate.metrics
        ):
            said[f"{row.stage} against it, {row.metric}"] = versus_in_words(row)
    return said


def _answer(pipeline: Pipeline, cascade: Cascade, requests: Requests, wanted: int) -> dict[str, Int32]:
    """Item lists: each retriever's by its name, RECALLED (joined), each later stage's by its stage."""
    plan = pipeline.plan
    alone = {name: cascade.retrievers.get(name) or pipeline.load_retriever(name, final=True) for name in plan.retrievers}
    parts: dict[str, list[Candidates]] = {}
    for rows, part in requests.chunks(_AT_ONCE):
        allowed = cascade.allowed(part)
        for name, retriever in alone.items():
            parts.setdefault(name, []).append(retriever.retrieve(part, max(wanted, plan.retrieve.k), allowed))
        candidates = cascade.recall(part)
        parts.setdefault(RECALLED, []).append(Candidates(candidates.items, {}))
        for scoring in cascade.scorings:
            candidates = score([scoring], part, candidates, cascade.steering)
            parts.setdefault(scoring.stage, []).append(Candidates(candidates.items, {}))
        shown = cascade.act(part, cascade.with_pins(part, candidates), seed=plan.seed)
        parts.setdefault("page", []).append(Candidates(shown.items, {}))
        pipeline.graph.progress("evaluate", rows.stop, len(requests))
    return {name: stacked(found).items for name, found in parts.items()}


def _stages(pipeline: Pipeline, best: str) -> Mapping[str, Mapping[str, str]]:
    """stage -> method -> the list that is its answer; the baseline stands in every one, the best retriever too."""
    plan = pipeline.plan
    stages: dict[str, dict[str, str]] = {"retrieve": {name: name for name in plan.retrievers}}
    for stage in [*pipeline.scoring_stages, "page"]:
        use = getattr(plan, stage).use
        beside = {name: name for name in (plan.evaluate.baseline, best)}
        stages[stage] = {**beside, f"{use} ({stage})" if use in beside else use: stage}
    return stages


def _losses(pipeline: Pipeline, found: Mapping[str, Int32], requests: Requests, relevant: Relevant) -> Losses:
    """Recall after each stage, of all it hands on: what a stage drops, no later one can show."""
    steps = [("retrieve", RECALLED), *((stage, stage) for stage in pipeline.scoring_stages), ("page", "page")]
    losses = []
    for stage, name in steps:
        k = found[name].shape[1]
        value = measure(RankedLists(requests.users, found[name]), relevant, [f"recall@{k}"])[f"recall@{k}"]
        losses.append((stage, k, _mean_over_users(requests, value)))
    return losses


def _mean_over_users(requests: Requests, values: Float64) -> float:
    """As in the tables: each user counts alike."""
    there = ~np.isnan(values)
    return float(by_user(requests.users[there], values[there, None])[1].mean()) if there.any() else 0.0


def _facts(pipeline: Pipeline, requests: Requests, answers: History) -> dict[str, Any]:
    """Counts first; a nested mapping is a group of its own in the report."""
    cuts, set_aside = pipeline.cuts, pipeline.set_aside
    return {
        "events": len(pipeline.log.store.events.items),
        "users": len(pipeline.log.users) - 1,
        "items": len(pipeline.log.items) - 1,
        "test users": len(np.unique(requests.users)),
        "test requests": len(requests),
        "data": {
            "source": pipeline.plan.data.dataset or pipeline.plan.data.events,
            "digest": pipeline.tables.digest[:16],
            "tied events": f"{pipeline.log.tied_share:.1%} share their user's moment with another; such events form one step",
            "rows set aside": sum(set_aside.values()),
        },
        "split": {
            "kind": pipeline.split_name,
            "retrievers stop training on": cuts.says(cuts.valid_us, cuts.prerank_us),
            **{f"{stage} learns from": _learned_from(pipeline, stage) for stage in pipeline.scoring_stages},
            "test": f"{cuts.says(cuts.asked_us, cuts.last_us + 1)}: {len(requests):,} steps, {len(answers.items):,} answers",
        },
        "build": {"generation": pipeline.generation.key[:16], "seed": pipeline.plan.seed},
        **({"rows set aside": set_aside} if set_aside else {}),
    }


def _learned_from(pipeline: Pipeline, stage: str) -> str:
    start, end = pipeline.window(stage)
    lists = pipeline.candidate_lists(stage).manifest.metrics
    return f"{pipeline.cuts.says(start, end)}: {lists['requests']:,} requests, {lists['recall']:.3f} of their answers proposed"


def wide(items: Int32, width: int) -> Int32:
    """Padded with empty places."""
    return np.pad(items, ((0, 0), (0, max(width - items.shape[1], 0))))
