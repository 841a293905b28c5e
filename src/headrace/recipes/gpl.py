"""GPL: do labels from users' foreseen interests mend what a pre-ranker learned from what was shown?

A world (`exposure`) writes the log and knows the truth, so a pre-ranker is asked about items drawn uniformly from the catalogue,
and about what was recalled and never shown. All arms are the same two towers, trained alike on the same impressions; the others
of a request's 200 get a label by the arm's labeler. λ is tried at 0.1, 0.3 and 1 in each world and the one with the least log
loss on the log's own flagged random pages is kept: pages that nothing is trained on, and no truth. "exposed only" has no λ and
tries three weight decays instead. Each seed is a world of its own, and one run of it.

| arm | label of what was not shown |
|---|---|
| exposed only | none |
| unshown as negatives | 0 |
| distillation | of a DCN-V2 that reads more (what stage 2 read), trained on what was shown |
| muda | its clearest 2% as 1, and 50% as 0 |
| ukd | of a teacher that may not know what was shown, weighed by how its two heads agree |
| ukdsl | the ranker's, what was considered counting four times as much |
| gpl | 10 anchors a user, written anew every 5 days by a causal transformer over codes |
| gpl, history centroids | centres of the user's own past in their place |
| gpl, w = 1; no dispersion; no history; no confidence | without the weight; without one of its factors |
| gpl, popular not thinned | a writer that learned from all events alike |

Paper: arXiv 2602.20995. Our reading and what this tests: docs/papers/gpl.md.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from headrace.build.components import component_class
from headrace.cascade.calibrated import known_of
from headrace.cascade.pseudo_labels import Teacher
from headrace.cascade.validation import value_of_ranker
from headrace.contracts.config import parse
from headrace.contracts.lists import CandidateLists
from headrace.contracts.seams import PseudoLabels
from headrace.methods.prerank import PSEUDO_LABELERS
from headrace.recipes.cells import Figures, Simulated
from headrace.recipes.claims import Claim
from headrace.recipes.logs.against_truth import auc, calibration_ratio, distinct, hit_rate
from headrace.recipes.logs.exposure import Exposure, ExposureConfig, lived, log_settings
from headrace.recipes.logs.foreseen import Foreseen, foreseen
from headrace.recipes.logs.lists_of_days import with_some_unshown
from headrace.recipes.logs.students import labelled, predicted, ranker, student, trained
from headrace.recipes.protocol import Budget
from headrace.world.settings import DAY_US

_MAIN = "unbiased"
_PUBLISHED = "online CTR +3.07% in two weeks, offline HR@3 .5254; more of the long tail found (GPL, as summarised elsewhere)"
HR, TAIL, MISCALIBRATION, EXPOSED = "HR@10, unbiased", "AUC, tail half", "miscalibration, unexposed", "AUC, exposed"


def _claim(says: str, metric: str, than: str, **more: Any) -> Claim:
    return Claim(says=says, published=_PUBLISHED, metric=metric, better="gpl", than=than, protocol=_MAIN, **more)


CLAIM = _claim("On items drawn uniformly GPL ranks more of the clicks among its ten best than exposed only.", HR, "exposed only")
FURTHER = (
    _claim("It orders the less popular half of the catalogue better than exposed only.", TAIL, "exposed only"),
    _claim(
        "Its calibration on what was recalled and not shown is nearer to 1 than exposed only's.",
        MISCALIBRATION, "exposed only", less=True,
    ),
    _claim("And nearer than that of unshown as negatives.", MISCALIBRATION, "unshown as negatives", less=True),
    _claim(
        "On what was shown it loses no more than 0.003 of AUC.", EXPOSED, "exposed only", margin=0.003, form="not worse",
    ),
    _claim("It ranks more of the clicks among the ten best than distillation.", HR, "distillation"),
    _claim("A writer foresees more than centres of the user's own past say.", HR, "gpl, history centroids"),
)  # fmt: skip
METRICS = (HR, TAIL, "AUC, unbiased", MISCALIBRATION, "CR, unexposed", EXPOSED, "topics in ten", "weight kept")
ARMS: Mapping[str, Mapping[str, Any]] = {
    "exposed only": {},
    "unshown as negatives": {"labeler": "unshown_negative"},
    "distillation": {"labeler": "distil"},
    "muda": {"labeler": "muda"},
    "ukd": {"labeler": "ukd"},
    "ukdsl": {"labeler": "ukdsl", "settings": {"considered": 40}},
    "gpl": {"labeler": "gpl"},
    "gpl, history centroids": {"labeler": "gpl", "settings": {"anchors": "history"}},
    "gpl, w = 1": {"labeler": "gpl", "settings": {"weighted": False}},
    "gpl, no dispersion": {"labeler": "gpl", "settings": {"dispersion": 0.0}},
    "gpl, no history": {"labeler": "gpl", "settings": {"history": 0.0}},
    "gpl, no confidence": {"labeler": "gpl", "settings": {"confidence": 0.0}},
    "gpl, popular not thinned": {"labeler": "gpl", "writer": {"thin": 0.0}},
}
NOT_IN_HALF_AN_HOUR = (
    "muda", "ukd", "ukdsl", "gpl, popular not thinned",
    "gpl, w = 1", "gpl, no dispersion", "gpl, no history", "gpl, no confidence",
)  # fmt: skip
"""Arms that no claim is about: the cpu budget goes without them."""


def work(budget: Budget) -> Simulated:
    train: dict[str, Any] = {"epochs": 15, "patience": 2, "learning_rate": 5e-4, "weight_decay": 1e-4}
    setting: dict[str, Any] = {
        "log": log_settings({"window_days": 25}, {}), "train": train, "weights": (0.1, 0.3, 1.0), "kept": 60, "days": 5,
        "codes": {"levels": 3, "codes": 32}, "writer": {"train": {"epochs": 3, "learning_rate": 3e-3, "weight_decay": 1e-2}},
    }  # fmt: skip
    if budget == "smoke":
        world = {"users": 120, "items": 400, "topics": 8, "dim": 8}
        setting |= {
            "log": log_settings({"warm_days": 1, "window_days": 3, "test_days": 1}, world), "train": {**train, "epochs": 1},
            "weights": (0.1, 1.0), "kept": 20, "days": 2, "codes": {"levels": 2, "codes": 8},
            "writer": {"dim": 16, "layers": 1, "length": 5, "train": {"epochs": 1}},
        }  # fmt: skip
    one = parse(ExposureConfig, setting["log"], where="gpl")
    return Simulated(
        data="exposure",
        arms={arm: how for arm, how in ARMS.items() if budget != "cpu" or arm not in NOT_IN_HALF_AN_HOUR},
        settings={_MAIN: setting},
        described={
            _MAIN: f"{one.world.users:,} users, {one.world.items:,} items; {one.window_days} days learned from, each request "
            f"with {one.world.recalled} recalled and {one.world.slots} shown; {one.drawn} uniform items a request of later days; "
            "clicks counted by their true chance"
        },
        seeds={"smoke": 1, "cpu": 5, "full": 20}[budget],
        metrics=METRICS,
        run=run,
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm on one world: its trials, and the figures of the one that random pages choose."""
    log = _world(parse(ExposureConfig, setting["log"], where="gpl"), seed)
    base = {"train": setting["train"]}
    if arm:
        lists = _labelled(setting, arm, log, seed)
        trials = [{**base, "pseudo_weight": weight} for weight in setting["weights"]]
    else:
        decay = setting["train"]["weight_decay"]
        lists = log.impressions
        trials = [{"train": {**setting["train"], "weight_decay": decay * 10**power}} for power in range(len(setting["weights"]))]
    tried = [student(trial, log, lists, seed) for trial in trials]
    random_pages = replace(log.random_pages, tasks={})
    chosen = int(np.argmax([value_of_ranker(scorer, random_pages) for scorer in tried]))
    figures = _figures(tried[chosen], log) | {"weight kept": setting["weights"][chosen] if arm else 0.0}
    return {metric: np.array([value]) for metric, value in figures.items()}


def _figures(scorer: Any, log: Exposure) -> dict[str, float]:
    uniform, recalled = predicted(scorer, log.uniform), predicted(scorer, log.recalled)
    counts = log.interactions.item_counts()
    tail = (counts <= np.median(counts[1:]))[log.uniform.candidates.items]
    ratio = calibration_ratio(recalled[log.unshown], log.recalled.click[log.unshown])
    return {
        HR: hit_rate(uniform, log.uniform.click, 10),
        TAIL: auc(uniform[tail], log.uniform.click[tail]),
        "AUC, unbiased": auc(uniform, log.uniform.click),
        MISCALIBRATION: abs(float(np.log(ratio))),
        "CR, unexposed": ratio,
        EXPOSED: auc(predicted(scorer, log.shown), log.shown.click),
        "topics in ten": distinct(recalled, log.world.catalogue.topic[log.recalled.candidates.items], 10),
    }


def _labelled(setting: Mapping[str, Any], arm: Mapping[str, Any], log: Exposure, seed: int) -> CandidateLists:
    name, settings, kept = arm["labeler"], arm.get("settings", {}), setting["kept"]
    if name == "gpl":
        return _by_stretch(setting, arm, log, with_some_unshown(log.lists, kept, seed), seed)
    besides = None
    if name == "ukdsl":  # it counts places, so none of those it counts may be missing
        besides = log.considered
        kept = max(kept - int((besides & ~known_of(log.lists)).sum(1).max()), 0)
    lists = with_some_unshown(log.lists, kept, seed, besides=besides)
    artifacts, kind = log.artifacts(lists), component_class(name, PSEUDO_LABELERS, "gpl")
    if hasattr(kind, "own_teacher"):
        teacher = component_class(name, {name: kind.own_teacher}, "gpl")
        artifacts["teacher"] = Teacher(trained(teacher, {"train": setting["train"]}, log, lists, seed))
    elif "teacher" in kind.needs:
        artifacts["teacher"] = Teacher(ranker({"train": setting["train"]}, log, log.impressions, seed))
    return labelled(name, settings, lists, artifacts, seed)


def _by_stretch(
    setting: Mapping[str, Any], arm: Mapping[str, Any], log: Exposure, lists: CandidateLists, seed: int
) -> CandidateLists:
    """Each few days by a labeler of their own, fitted on what they showed, with anchors as they stood when the days began."""
    settings, written = arm.get("settings", {}), None
    if settings.get("anchors") != "history":
        written = _foreseen(json.dumps({**setting, "writer": {**setting["writer"], **arm.get("writer", {})}}), seed)
    stretch = (lists.requests.at_us - log.interactions.cut_us) // (setting["days"] * DAY_US)
    label, weight = np.zeros_like(lists.label), np.zeros_like(lists.label)
    for number in np.unique(stretch).tolist():
        rows = np.flatnonzero(stretch == number)
        part = lists.take(rows)
        foretold = {} if written is None else {"semantic_ids": written.ids, "anchors": written.stretches[number]}
        found = labelled("gpl", settings, part, {**log.artifacts(part), **foretold}, seed).pseudo
        assert found is not None
        label[rows], weight[rows] = found.label, found.weight
    return replace(lists, pseudo=PseudoLabels(label, weight))


@lru_cache(maxsize=1)
def _world(settings: ExposureConfig, seed: int) -> Exposure:
    return lived(settings, seed)


@lru_cache(maxsize=16)
def _foreseen(written: str, seed: int) -> Foreseen:
    """The same for all arms of a world with the same writer. written: the settings, as JSON."""
    setting = json.loads(written)
    log = _world(parse(ExposureConfig, setting["log"], where="gpl"), seed)
    return foreseen(log, setting["codes"], setting["writer"], 10, setting["days"], seed)
