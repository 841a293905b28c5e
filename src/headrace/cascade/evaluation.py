"""The cascade measured end to end on the test window, stage by stage, against a named baseline.

Every step of the window is a request as of its moment, so histories grow as they would when serving; fits stop at the cut.
Rows: each retriever alone (stage "retrieve"), the ranked candidates ("rank"), the page as shown ("page": the price of exploring
is the difference), and how much of what was right is still there after each stage.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from headrace.artifacts.store import Draft
from headrace.cascade.join import stacked
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.config import as_dict
from headrace.contracts.requests import Candidates, Float64, History, Int32, Requests
from headrace.evaluate.bootstrap import by_user
from headrace.evaluate.compare import compare
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure, parse_metric
from headrace.evaluate.rows import Row
from headrace.evaluate.slices import standard_slices

SPLIT = "global temporal"
_AT_ONCE = 256


@dataclass(frozen=True)
class Measured:
    """rows: every figure. losses: (stage, k, recall) from the widest to the page. facts: what the figures are about."""

    rows: list[Row]
    losses: list[tuple[str, int, float]]
    facts: dict[str, Any]


def evaluate_cascade(pipeline: Pipeline) -> Measured:
    """Found again when nothing it depends on has changed."""
    plan = pipeline.plan

    def make(draft: Draft) -> None:
        measured = _measure(pipeline)
        pl.DataFrame([vars(row) for row in measured.rows], infer_schema_length=None).write_parquet(draft.path / "rows.parquet")
        draft.metrics = {"losses": measured.losses, "facts": measured.facts}

    artifact = pipeline.graph.stage(
        "evaluation", make, config={**as_dict(plan.evaluate), "seed": plan.seed}, inputs={"generation": pipeline.generation}
    )
    rows = [Row(**values) for values in pl.read_parquet(artifact.path / "rows.parquet").to_dicts()]
    metrics = artifact.manifest.metrics
    return Measured(rows, [(stage, k, value) for stage, k, value in metrics["losses"]], metrics["facts"])


def _measure(pipeline: Pipeline) -> Measured:
    plan, log, cuts = pipeline.plan, pipeline.log, pipeline.cuts
    requests, answers = pipeline.requests(cuts.test_us, cuts.last_us + 1, plan.evaluate.most_requests)
    relevant = Relevant.from_pairs(answers.rows(), answers.items, len(requests))
    wanted = max(parse_metric(metric).k for metric in plan.evaluate.metrics)
    found = _answer(pipeline, requests, wanted)

    interactions = log.interactions(cuts.test_us)
    slices = standard_slices(relevant, requests.history.lengths, interactions.item_counts())
    lists = {name: RankedLists(requests.users, _wide(items, wanted)) for name, items in found.items()}
    rows: list[Row] = []
    for stage, names in _stages(pipeline, list(found)).items():
        rows += compare(
            {name: lists[name] for name in names},
            relevant,
            stage=stage,
            split=SPLIT,
            baseline=plan.evaluate.baseline,
            metrics=plan.evaluate.metrics,
            slices=slices,
            seed=plan.evaluate.seed,
            resamples=plan.evaluate.resamples,
        )
    return Measured(rows, _losses(pipeline, found, requests, relevant), _facts(pipeline, requests, answers))


def _answer(pipeline: Pipeline, requests: Requests, wanted: int) -> dict[str, Int32]:
    """Item lists by name: each retriever's, "recalled" (joined), the ranker's, and the page's."""
    plan, cascade = pipeline.plan, pipeline.cascade()
    alone = {name: cascade.retrievers.get(name) or pipeline.load_retriever(name, final=True) for name in plan.retrievers}
    parts: dict[str, list[Candidates]] = {}
    for rows, part in requests.chunks(_AT_ONCE):
        allowed = cascade.allowed(part)
        for name, retriever in alone.items():
            parts.setdefault(name, []).append(retriever.retrieve(part, max(wanted, plan.retrieve.k), allowed))
        recalled = cascade.recall(part)
        ranked = cascade.rank(part, recalled)
        shown = cascade.act(part, ranked, seed=plan.seed)
        for name, items in (("recalled", recalled.items), (plan.rank.use, ranked.items), (plan.page.use, shown.items)):
            parts.setdefault(name, []).append(Candidates(items, {}))
        pipeline.graph.progress("evaluate", rows.stop, len(requests))
    return {name: stacked(found).items for name, found in parts.items()}


def _stages(pipeline: Pipeline, names: list[str]) -> Mapping[str, list[str]]:
    plan = pipeline.plan
    baseline = plan.evaluate.baseline
    return {
        "retrieve": list(plan.retrievers),
        "rank": [baseline, plan.rank.use],
        "page": [baseline, plan.page.use],
    }


def _losses(
    pipeline: Pipeline, found: Mapping[str, Int32], requests: Requests, relevant: Relevant
) -> list[tuple[str, int, float]]:
    """Recall after each stage: what a stage drops, no later one can show."""
    plan = pipeline.plan
    slots = found[plan.page.use].shape[1]
    steps = [("retrieve", found["recalled"].shape[1], "recalled"), ("rank", slots, plan.rank.use), ("page", slots, plan.page.use)]
    losses = []
    for stage, k, name in steps:
        value = measure(RankedLists(requests.users, _wide(found[name], k)), relevant, [f"recall@{k}"])[f"recall@{k}"]
        losses.append((stage, k, _mean_over_users(requests, value)))
    return losses


def _mean_over_users(requests: Requests, values: Float64) -> float:
    """As in the tables: each user counts alike."""
    there = ~np.isnan(values)
    return float(by_user(requests.users[there], values[there, None])[1].mean()) if there.any() else 0.0


def _facts(pipeline: Pipeline, requests: Requests, answers: History) -> dict[str, Any]:
    """Counts first; a nested mapping is a group of its own in the report."""
    cuts, summary = pipeline.cuts, pipeline.tables.manifest.metrics
    lists = pipeline.candidate_lists.manifest.metrics
    set_aside = {f"{table}: {reason}": rows for table, found in summary["quarantined"].items() for reason, rows in found.items()}
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
            "kind": SPLIT,
            "retrievers stop training on": f"{_day(cuts.valid_us)} to {_day(cuts.rank_us)}",
            "ranker learns from": f"{_day(cuts.rank_us)} to {_day(cuts.test_us)}: {lists['requests']:,} requests, "
            f"{lists['recall']:.3f} of whose answers were proposed",
            "test": f"{_day(cuts.test_us)} to {_day(cuts.last_us)}: {len(requests):,} steps, {len(answers.items):,} answers",
        },
        "build": {"generation": pipeline.generation.key, "seed": pipeline.plan.seed},
        **({"rows set aside": set_aside} if set_aside else {}),
    }


def _wide(items: Int32, width: int) -> Int32:
    return np.pad(items, ((0, 0), (0, max(width - items.shape[1], 0))))


def _day(time_us: int) -> str:
    return str(np.datetime64(time_us, "us").astype("datetime64[D]"))
