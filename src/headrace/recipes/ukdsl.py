"""UKDSL in a trained cascade: what a pre-ranker learns of what was considered, from a ranker that sees more than it does.

A world's own cascade writes the log (`exposure`): 200 recalled, 40 considered, 4 shown. A two-tower pre-ranker reads history and
item; a DCN-V2 ranker, trained on the impressions, also reads what the world's stage 2 read, on which being shown hangs. All arms
are the same two towers, trained alike; they differ in rows and labels. Nothing is tuned: what a row weighs is the arm.

| arm | rows | labels |
|---|---|---|
| impressions | shown | observed |
| joint | shown, and considered beside, every row alike (λ = 36 / 4) | observed; the ranker's probability |
| joint_by_population | the same, both populations alike (λ = 1) | the same |
| own_head | as joint | as joint, the ranker's learned on a head of its own, which is not served |
| whole_pool | shown, and 36 of what was considered and 40 more, which count a quarter (λ = 36 / 4) | the same |
| distilled | considered, shown among them | the ranker's probability |
| unshown_negative | shown, and considered beside, every row alike | observed; 0 |
| random_exposure | as many uniform draws of what was recalled | observed: what only an unbiased log could teach |
| random_considered | as many uniform draws of what was considered | the same |
| ranker | shown, with what stage 2 read | observed: not a pre-ranker, its own figures |
| truth | | the true chances themselves: what there is to reach |

Figures are against true chances on the impressions, the considered and the recalled of two days after all training (a seed is a
world of its own). Paper: Liu et al., arXiv 2502.06834. Our reading: docs/papers/ukdsl.md; the same in one equation each, where
models can be solved: `cascade_bias`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from headrace.cascade.pseudo_labels import Teacher
from headrace.contracts.config import parse
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Bool
from headrace.contracts.rng import rng
from headrace.recipes.cells import Figures, Simulated
from headrace.recipes.claims import Claim
from headrace.recipes.logs.against_truth import best, calibration_ratio, normalized_entropy
from headrace.recipes.logs.exposure import Exposure, ExposureConfig, lived, log_settings
from headrace.recipes.logs.lists_of_days import columns, with_some_unshown
from headrace.recipes.logs.students import labelled, predicted, ranker, student
from headrace.recipes.protocol import Budget
from headrace.world.settings import WorldConfig

_MAIN = "the four best are shown"
_PUBLISHED = (
    "pre-rankers over-predict on consideration traffic; joint distillation and semi-supervision mend it (abstract, no figures)"
)


def _claim(says: str, metric: str, better: str, than: str, **more: Any) -> Claim:
    return Claim(
        says=says, published=_PUBLISHED, metric=metric, better=better, than=than, protocol=_MAIN, less=True, **more
    )  # fmt: skip


CLAIM = _claim(
    "Distilling the ranker on what was considered brings the pre-ranker's calibration there nearer by more than from 1.5 to 1.1.",
    "miscalibration, considered", "joint", "impressions", margin=float(np.log(1.5) - np.log(1.1)),
)  # fmt: skip
FURTHER = (
    _claim(
        "And to within 10% of the truth.",
        "miscalibration, considered", "joint", "truth", margin=float(np.log(1.1)), form="not worse",
    ),
    _claim(
        "It improves normalized entropy on what was considered by 0.05 and more.",
        "NE, considered", "joint", "impressions", margin=0.05,
    ),
    _claim(
        "It costs no more than 0.005 of normalized entropy on what was shown.",
        "NE, shown", "joint", "impressions", margin=0.005, form="not worse",
    ),
    _claim(
        "It is better calibrated on what was considered than unshown as negatives.",
        "miscalibration, considered", "joint", "unshown_negative",
    ),
    _claim(
        "The bias is the log's: from as many uniformly exposed rows the same model is better calibrated.",
        "miscalibration, considered", "random_exposure", "impressions",
    ),
)  # fmt: skip
ARMS = (
    "impressions", "joint", "joint_by_population", "own_head", "whole_pool", "distilled", "unshown_negative", "random_exposure",
    "random_considered", "ranker", "truth",
)  # fmt: skip
METRICS = (
    "CR, considered", "CR, pool", "CR, shown", "NE, considered", "NE, shown", "miscalibration, considered",
    "recall of the ranker's 4 in 40",
)  # fmt: skip
_KEPT = 40  # of the pool, by the pre-ranker


def work(budget: Budget) -> Simulated:
    train: dict[str, Any] = {"epochs": 15, "patience": 2, "learning_rate": 5e-4, "weight_decay": 1e-4}
    setting: dict[str, Any] = {"log": {"window_days": 25}, "train": train}
    top, drawn = {"temperature": 0.0, "epsilon": 0.0}, {}  # type: dict[str, Any], dict[str, Any]
    if budget == "smoke":
        tiny = {"users": 100, "items": 400, "topics": 8, "dim": 8}
        setting = {"log": {"warm_days": 1, "window_days": 3, "test_days": 1}, "train": {**train, "epochs": 2}}
        top, drawn = {**top, **tiny}, tiny
    worlds = {_MAIN: top} if budget == "smoke" else {_MAIN: top, "the four shown are drawn": drawn}
    return Simulated(
        data="exposure",
        arms={arm: {"arm": arm} for arm in ARMS},
        settings={name: {**setting, "log": log_settings(setting["log"], world)} for name, world in worlds.items()},
        described={name: _described(world) for name, world in worlds.items()},
        seeds={"smoke": 1, "cpu": 5, "full": 20}[budget],
        metrics=METRICS,
        run=run,
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm on one world."""
    settings, name = parse(ExposureConfig, setting["log"], where="ukdsl"), arm["arm"]
    log, teacher = _world(settings, seed), _teacher(settings, tuple(setting["train"].items()), seed)
    true, considered = log.recalled.click, log.considered_test
    pool, shown = true, log.shown.click
    if name != "truth":
        scorer = teacher if name == "ranker" else _student(name, log, teacher, setting["train"], seed)
        pool, shown = predicted(scorer, log.recalled), predicted(scorer, log.shown)
    ratio = calibration_ratio(pool[considered], true[considered])
    wanted = best(predicted(teacher, log.recalled), settings.world.slots)
    kept = (wanted[:, :, None] == best(pool, _KEPT)[:, None, :]).any(2)
    figures = {
        "CR, considered": ratio,
        "CR, pool": calibration_ratio(pool, true),
        "CR, shown": calibration_ratio(shown, log.shown.click),
        "NE, considered": normalized_entropy(pool[considered], true[considered]),
        "NE, shown": normalized_entropy(shown, log.shown.click),
        "miscalibration, considered": abs(float(np.log(ratio))),
        "recall of the ranker's 4 in 40": float(kept.mean()),
    }
    return {metric: np.array([value]) for metric, value in figures.items()}


def _student(arm: str, log: Exposure, teacher: Any, train: Mapping[str, Any], seed: int) -> Any:
    width, slots = int(log.considered.sum(1).max()), log.impressions.label.shape[1]
    first = np.argsort(~log.considered, axis=1, kind="stable")[:, :width]
    considered, artifacts = columns(log.lists, first), {"teacher": Teacher(teacher)}
    rows_alike = {"train": train, "pseudo_weight": (width - slots) / slots, "unshown": width - slots}
    match arm:
        case "impressions":
            return student({"train": train}, log, log.impressions, seed)
        case "joint" | "joint_by_population" | "own_head":
            more: dict[str, dict[str, Any]] = {"joint_by_population": {"pseudo_weight": 1.0}, "own_head": {"pseudo_head": True}}
            taught = labelled("ukdsl", {"considered": width}, considered, artifacts, seed)
            return student({**rows_alike, **more.get(arm, {})}, log, taught, seed)
        case "whole_pool":
            pool = with_some_unshown(log.lists, width, seed, besides=log.considered)
            return student(rows_alike, log, labelled("ukdsl", {"considered": width}, pool, artifacts, seed), seed)
        case "unshown_negative":
            return student(rows_alike, log, labelled(arm, {}, considered, artifacts, seed), seed)
        case "distilled":
            soft = artifacts["teacher"](considered.requests, considered.candidates)
            return student({"train": train}, log, replace(considered, label=soft, known=None), seed)
        case "random_exposure" | "random_considered":
            among = log.considered if arm == "random_considered" else np.ones_like(log.considered)
            return student({"train": train}, log, _uniformly_shown(log, slots, among), seed)
    raise ValueError(f'"{arm}" is not an arm: {", ".join(ARMS)}.')


def _uniformly_shown(log: Exposure, slots: int, among: Bool) -> CandidateLists:
    """The same requests, answered by so many of these candidates, each set alike; clicks are drawn of the truth."""
    draw = rng(log.world.seed, "random exposure")
    drawn = columns(log.lists, np.argsort(draw.random(among.shape) + ~among, axis=1)[:, :slots])
    requests, items = drawn.requests, drawn.candidates.items
    chance = log.world.truth.chances(requests.users, items, requests.at_us).click
    return replace(drawn, label=(draw.random(chance.shape) < chance).astype(np.float32), known=None)


@lru_cache(maxsize=1)
def _world(settings: ExposureConfig, seed: int) -> Exposure:
    return lived(settings, seed)


@lru_cache(maxsize=8)
def _teacher(settings: ExposureConfig, train: tuple[tuple[str, Any], ...], seed: int) -> Any:
    """The same for all arms of a world."""
    log = _world(settings, seed)
    return ranker({"train": dict(train)}, log, log.impressions, seed)


def _described(world: Mapping[str, Any]) -> str:
    one = replace(WorldConfig(), **world)
    how = "the best four of stage 2" if one.deterministic else f"four drawn by stage 2, temperature {one.temperature:g}"
    return (
        f"{one.users:,} users, {one.items:,} items; {one.recalled} recalled, {one.considered} considered, {how} shown; "
        "one in ten requests answered at random and left out; figures on two later days"
    )
