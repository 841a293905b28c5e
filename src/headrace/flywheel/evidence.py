"""What is known about a candidate before anybody meets it: figures on the log, replayed requests, time taken.

Both generations answer the same requests of the candidate's test window, as of their moments. The live one was fitted on an
earlier cut, which lies before that window too, so neither has seen what it is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from headrace.cascade.evaluation import test_requests
from headrace.cascade.impressions import measure_impressions, served_rows
from headrace.cascade.judge import Judge
from headrace.contracts.requests import Float64, Int32, Requests
from headrace.data.labels import TaskConfig
from headrace.evaluate.compare import compare
from headrace.evaluate.lists import RankedLists
from headrace.evaluate.offpolicy.estimate import Estimate
from headrace.evaluate.offpolicy.judging import judge
from headrace.evaluate.offpolicy.logged import LoggedSlates, policies_of, rewarded, target_log_prob
from headrace.evaluate.offpolicy.support import unsupported_share
from headrace.evaluate.ranking import parse_metric
from headrace.evaluate.rows import Row
from headrace.flywheel.gates.operation import Latency, Replayed
from headrace.flywheel.gates.style import Style
from headrace.flywheel.opened import Opened
from headrace.flywheel.settings import FlyConfig

Evidence = dict[str, Any]


@dataclass(frozen=True)
class Pages:
    """The pages each gave to the same requests, [R, S], in the candidate's numbers; failed: requests it could not answer."""

    requests: Requests
    candidate: Int32
    live: Int32
    failed: int


def gather(candidate: Opened, live: Opened, settings: FlyConfig, styles: list[Mapping[str, float]]) -> Evidence:
    """All evidence but an experiment's. styles: of the releases before, oldest first."""
    pages = replayed(candidate, live, settings.replayed)
    return {
        "offline": offline(candidate, live),
        "scorer": scorer(candidate),
        "off_policy": off_policy(candidate, live, settings),
        "shadow": _compared(pages),
        "latency": latency(candidate, pages.requests, settings.timed),
        "style": Style(style(candidate, pages.candidate), styles),
    }


def offline(candidate: Opened, live: Opened) -> list[Row]:
    """The ranked lists of both on the test window, the live one as the baseline, by slice."""
    pipeline = candidate.pipeline
    plan = pipeline.plan.evaluate
    requests, answers = test_requests(pipeline)
    judging = Judge(pipeline, requests, answers)
    k = max(parse_metric(metric).k for metric in plan.metrics)
    lists = {one.name: RankedLists(requests.users, one.ranked(requests, candidate, k)) for one in (candidate, live)}
    return compare(
        lists, judging.relevant, stage="rank", split=pipeline.split_name, baseline=live.name, metrics=plan.metrics,
        slices=judging.slices, seed=plan.seed, resamples=plan.resamples,
    )  # fmt: skip


def scorer(candidate: Opened) -> list[Row]:
    """Of the candidate's ranker as it serves, on impressions of its main task; not the base rate's, always near 1."""
    rows = served_rows(candidate.pipeline.plan, measure_impressions(candidate.pipeline)[0])
    return [replace(row, method=candidate.name) for row in rows]


def off_policy(candidate: Opened, live: Opened, settings: FlyConfig) -> Estimate | None:
    """Its lead a page over who logged the test window's pages, in outcomes of the task; None where no pages were logged."""
    pipeline, task = candidate.pipeline, reward_task(candidate, settings)
    tables = pipeline.tables.path
    if task is None or not (tables / "candidates.parquet").is_file():
        return None
    rows = rewarded(tables, task, pipeline.cuts.last_us + 1)
    rows = rows.filter(rows["at_us"] >= pipeline.cuts.asked_us, rows["propensity"].is_not_null())
    if not len(rows):
        return None
    policies = policies_of(tables)
    rows = rows.filter(rows["request_id"].replace_strict(policies, default="") == live.cascade.policy_id)
    if not len(rows):
        return None
    log = pipeline.log
    logged = LoggedSlates.from_rows(rows, log.users.encode, log.items.encode, policies)
    at = rows.unique("request_id", keep="first", maintain_order=True)["at_us"].to_numpy()
    requests = pipeline.requests_of(logged.users, at, logged.request_ids.tolist())
    target = target_log_prob(candidate.cascade, requests, logged)
    some = requests.take(np.arange(min(len(requests), settings.replayed)))
    drawn = candidate.cascade.act(some, seed=pipeline.plan.seed)
    outside = unsupported_share(live.among(candidate).log_prob(some, drawn))
    return judge(logged, target, names=("sn_interaction",), versus=True, unsupported=outside)[-1]


def reward_task(candidate: Opened, settings: FlyConfig) -> TaskConfig | None:
    plan = candidate.pipeline.plan
    name = settings.task or next(iter((*plan.rank.tasks, *plan.tasks)), None)
    return None if name is None else plan.tasks[name]


def replayed(candidate: Opened, live: Opened, most: int) -> Pages:
    """The last requests of the test window, answered by both with the same seed."""
    pipeline = candidate.pipeline
    requests, _ = test_requests(pipeline)
    requests = requests.take(np.arange(max(len(requests) - most, 0), len(requests)))
    theirs = live.among(candidate).act(requests, seed=pipeline.plan.seed).items
    try:
        mine, failed = candidate.cascade.act(requests, seed=pipeline.plan.seed).items, 0
    except Exception:  # whatever it is, it would have been an answer that a user did not get
        mine, failed = np.zeros_like(theirs), len(requests)
    return Pages(requests, mine, theirs, failed)


def latency(candidate: Opened, requests: Requests, timed: int) -> Latency:
    """One request at a time, the first few not counted."""
    took: list[float] = []
    for row in range(min(timed + 10, len(requests))):
        one = requests.take(np.array([row]))
        started = perf_counter()
        candidate.cascade.act(one, seed=0)
        took.append(1000 * (perf_counter() - started))
    ms: Float64 = np.array(took[10:])
    return Latency(float(np.median(ms)), float(np.percentile(ms, 99)), len(ms)) if len(ms) else Latency(0.0, 0.0, 0)


def style(candidate: Opened, pages: Int32) -> Mapping[str, float]:
    """What a page looks like: how popular its items are, and how many different ones there are over all pages."""
    counts = candidate.pipeline.log.interactions(candidate.pipeline.cuts.test_us).item_counts()
    shown = pages[pages > 0]
    return {
        "log popularity": float(np.log1p(counts[shown]).mean()) if len(shown) else 0.0,
        "different items a page": len(np.unique(shown)) / max(len(pages), 1),
        "items a page": len(shown) / max(len(pages), 1),
    }


def _compared(pages: Pages) -> Replayed:
    there = pages.candidate > 0
    both = (pages.candidate[:, :, None] == pages.live[:, None, :]).any(2) & there
    short = int((there.sum(1) < (pages.live > 0).sum(1)).sum()) if not pages.failed else 0
    overlap = float((both.sum(1) / np.maximum(there.sum(1), 1)).mean()) if len(there) else 0.0
    return Replayed(len(pages.requests), pages.failed, short, overlap)
