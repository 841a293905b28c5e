"""HiSAC: do a few agents of a whole history say more of a click than other ways to read 40 vectors of it?

A world (`exposure`) whose users have some 2,000 events each over a year, and whose clicks are drawn of a known chance. All arms
are rankers of `nn/long_history`: the same tables, ages, attention and head, trained alike on the same impressions; they differ in
the vectors that a candidate reads, 40 in each. Rankers read the history and the item, never what the world's own stages said.

| arm | a candidate reads |
|---|---|
| hisac | agents of all events; "half read", "a tenth read": of the newest 1,000 and 200 |
| hisac, hard routing; flat voting; equal agents; with a rest | as named: equal weights are γ = 0, a rest the plain mean beside |
| centres | means of 40 stretches of equal time; "a tenth read": of the newest 200 events |
| kinds | means of the user's own 40 kinds by k-means of items' vectors |
| recent | the newest 40 events |
| eta | the 40 events of nearest hashed bits (32, by sign) |
| sim, hard; sim, soft | 40 of the candidate's topic; of the largest product of embeddings |
| twin | the 40 that its attention's own score finds |
| all events | every event: more than 40, so it is no rival but what there is to lose |

Every arm has two learning rates, and the one with the least log loss on a later day of the first world is kept for all. Figures
are against true chances of all that was recalled on two days after that. Multiply-adds are those of search and attention, all
else being equal, and bytes those of a user's state. Each seed is a world of its own, and one run of it.
Paper: arXiv 2602.21009. Our reading and what this tests: docs/papers/hisac.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from headrace.build.components import component_class
from headrace.cascade.scoring import batches_for
from headrace.cascade.validation import value_of_ranker
from headrace.contracts.config import digest, parse
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float64
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.quantiser import coded
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from headrace.methods.rank import RANKERS
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.logs.against_truth import auc, grouped_auc, normalized_entropy
from headrace.recipes.logs.exposure import Exposure, ExposureConfig, Truths, lived, log_settings
from headrace.recipes.logs.students import predicted, trained
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials

_MAIN = "long histories"
_PUBLISHED = (
    "best AUC and GAUC of all compressions at 200 vectors, CTR +1.65%; hard routing costs 0.09 points of AUC, and quality rises "
    "with length (HiSAC, as summarised elsewhere)"
)
AUC, GAUC, TAIL, RARE, NE = "AUC", "GAUC", "AUC, long tail", "AUC, rare interests", "NE"
MACS, BYTES = "1,000 multiply-adds a candidate", "kB a user"
METRICS = (AUC, GAUC, TAIL, RARE, NE, MACS, BYTES)


def _claim(says: str, than: str, metric: str = AUC, **more: Any) -> Claim:
    return Claim(says=says, published=_PUBLISHED, metric=metric, better="hisac", than=than, protocol=_MAIN, **more)


CLAIM = _claim("At 40 vectors HiSAC's agents order what was recalled better than means of stretches of time.", "centres")
FURTHER = (
    _claim("And better than means of the user's own kinds by k-means.", "kinds"),
    _claim("And better than the events of nearest hashed bits.", "eta"),
    _claim("And better than the newest events.", "recent"),
    _claim("It loses no more than 0.002 of AUC on hard search by topic.", "sim, hard", margin=0.002, form="not worse"),
    _claim("It loses no more than 0.002 of AUC on soft search.", "sim, soft", margin=0.002, form="not worse"),
    _claim("Soft routing orders items of long-tail topics better than hard routing.", "hisac, hard routing", TAIL),
    _claim("All of the history says more than its newest tenth.", "hisac, a tenth read"),
)
ARMS: Mapping[str, Mapping[str, Any]] = {
    "hisac": {"ranker": "hisac"},
    "hisac, half read": {"ranker": "hisac", "read": 0.5},
    "hisac, a tenth read": {"ranker": "hisac", "read": 0.1},
    "hisac, hard routing": {"ranker": "hisac", "settings": {"routing": "hard"}},
    "hisac, flat voting": {"ranker": "hisac", "settings": {"voting": "flat"}},
    "hisac, equal agents": {"ranker": "hisac", "settings": {"gamma": 0.0}},
    "hisac, with a rest": {"ranker": "hisac", "settings": {"rest": True}},
    "centres": {"ranker": "centres", "settings": {"cut": "time"}},
    "centres, a tenth read": {"ranker": "centres", "settings": {"cut": "time"}, "read": 0.1},
    "kinds": {"ranker": "kinds"},
    "recent": {"ranker": "centres", "read": 0.0},
    "eta": {"ranker": "eta"},
    "sim, hard": {"ranker": "sim"},
    "sim, soft": {"ranker": "sim", "settings": {"search": "soft"}},
    "twin": {"ranker": "twin"},
    "all events": {"ranker": "centres", "whole": True},
}
"""read: the share of the longest history, `kept` events at least. whole: every event is kept."""
NOT_IN_HALF_AN_HOUR = (
    "hisac, half read", "hisac, flat voting", "hisac, equal agents", "hisac, with a rest", "centres, a tenth read", "twin",
    "all events",
)  # fmt: skip
"""Arms that no claim is about: the cpu budget goes without them."""
_RARE = 0.005, 0.05
"""Of a user's events are of a topic that is a rare interest."""
_RANKERS = {**RANKERS, "kinds": "headrace.recipes.logs.kinds:Kinds"}


def work(budget: Budget) -> Trials:
    train: dict[str, Any] = {"epochs": 7, "patience": 2, "weight_decay": 1e-4}
    world: dict[str, Any] = {
        "users": 350, "activity": 2000.0, "activity_spread": 0.4, "history_days": 360, "nearest": 50, "popular": 25,
        "uniform": 25, "considered": 60, "slots": 60, "ctr": 0.2,
    }  # fmt: skip
    setting: dict[str, Any] = {
        "log": log_settings({"warm_days": 1, "window_days": 3, "drawn": 1}, world), "train": train, "events": 2000,
        "codes": {"levels": 2, "codes": 32}, "kept": 40, "agents": (8, 5),
    }  # fmt: skip
    rates: tuple[float, ...] = (3e-3, 1e-2)
    if budget == "smoke":
        world |= {
            "users": 40, "items": 200, "topics": 8, "dim": 8, "activity": 100.0, "nearest": 20, "popular": 10, "uniform": 10,
            "considered": 20, "slots": 20,
        }  # fmt: skip
        log = log_settings({"warm_days": 0, "window_days": 1, "test_days": 1, "drawn": 1}, world)
        setting |= {
            "log": log, "train": {**train, "epochs": 1}, "events": 100, "codes": {"levels": 2, "codes": 8}, "kept": 8,
            "agents": (4, 2),
        }  # fmt: skip
        rates = rates[:1]
    one = parse(ExposureConfig, setting["log"], where="hisac")
    return Trials(
        data="exposure",
        arms={
            arm: TrialArm(how, [{"learning_rate": rate} for rate in rates])
            for arm, how in ARMS.items()
            if budget != "cpu" or arm not in NOT_IN_HALF_AN_HOUR
        },
        settings={_MAIN: setting},
        described={_MAIN: _described(setting, one)},
        seeds={"smoke": 1, "cpu": 5, "full": 20}[budget],
        metrics=METRICS,
        run=run,
        open_data=lambda folder: digest(setting),
        unit="runs",
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm with one learning rate on one world."""
    log, ids = _world(
        parse(ExposureConfig, setting["log"], where="hisac"), setting["events"], tuple(setting["codes"].items()), seed
    )
    kept, history = setting["kept"], max(round(arm.get("read", 1.0) * setting["events"]), setting["kept"])
    settings: dict[str, Any] = {
        "loss": "pointwise", "batch_size": 16, "history": history, "kept": history if arm.get("whole") else kept,
        "train": {**setting["train"], "learning_rate": arm["learning_rate"]}, **arm.get("settings", {}),
    }  # fmt: skip
    if arm["ranker"] == "hisac":
        settings["kept_per_level"] = tuple(setting["agents"])
    kind = component_class(arm["ranker"], _RANKERS, "hisac")
    scorer = trained(kind, settings, log, _without_pairs(log.impressions), seed, more={"semantic_ids": ids})
    figures = _figures(predicted(scorer, log.recalled), log, setting["events"])
    costs = {MACS: multiply_adds(arm["ranker"], scorer) / 1000, BYTES: state_bytes(scorer, log.recalled) / 1000}
    valid = -value_of_ranker(scorer, replace(log.held, tasks={}))
    return {name: np.array([value]) for name, value in {**figures, **costs, VALID: valid}.items()}


def multiply_adds(ranker: str, scorer: Any) -> float:
    """Of a candidate's search through the history and its attention to what is found; a comparison of codes counts as one."""
    settings = scorer.config
    own = settings.item_dim + scorer.fields.item_width
    soft = ranker == "sim" and settings.search == "soft"
    search = {"eta": getattr(settings, "bits", 0), "twin": settings.item_dim, "sim": own if soft else 1}.get(ranker, 0)
    read = settings.kept + getattr(settings, "rest", False)
    return float(settings.history * search + 2 * read * settings.item_dim)


def state_bytes(scorer: Any, truths: Truths) -> float:
    """Of what is kept of one user's history."""
    users, _ = batches_for(scorer, truths.requests.take(np.arange(1)), truths.candidates.take(np.arange(1)))
    with torch.inference_mode():
        state = scorer.user(users)
    return float(sum(values.nbytes for name, values in state.items() if name != "features"))


def _described(setting: Mapping[str, Any], one: ExposureConfig) -> str:
    world = one.world
    return (
        f"{world.users:,} users with a median of {world.activity:,.0f} events in {world.history_days} days, "
        f"{world.items:,} items; the newest {setting['events']:,} are read, as {setting['kept']} vectors; "
        f"{one.window_days} days learned from, {world.slots} of {world.recalled} recalled shown; "
        "clicks counted by their true chance"
    )


def _figures(said: Float64, log: Exposure, events: int) -> dict[str, float]:
    true, topic = log.recalled.click, log.world.catalogue.topic
    items = log.recalled.candidates.items
    share = np.bincount(topic[1:]) / len(topic[1:])
    order = np.argsort(share, kind="stable")
    tail = order[share[order].cumsum() <= 0.5]
    among, shares = np.isin(topic[items], tail), topic_shares(log, events)
    rare = (shares >= _RARE[0]) & (shares <= _RARE[1])
    return {
        AUC: auc(said, true),
        GAUC: grouped_auc(said, true, log.recalled.requests.users),
        TAIL: auc(said[among], true[among]),
        RARE: auc(said[rare], true[rare]),
        NE: normalized_entropy(said, true),
    }


def topic_shares(log: Exposure, events: int) -> Float64:
    """Which share of a user's newest events is of each candidate's topic, [R, C]."""
    requests, topic = log.recalled.requests, log.world.catalogue.topic
    past = topic[requests.history.last(events)]  # -1 where there is none
    topics = log.world.config.topics
    row, place = np.nonzero(past >= 0)
    counts = np.bincount(row * topics + past[row, place], minlength=len(past) * topics).reshape(len(past), topics)
    found: Float64 = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return np.take_along_axis(found, topic[log.recalled.candidates.items], 1)


def _without_pairs(lists: CandidateLists) -> CandidateLists:
    """Stage 1's score is the user's taste with noise: beside it a history would have little left to say."""
    return replace(lists, candidates=replace(lists.candidates, features={}), tasks={})


@lru_cache(maxsize=1)
def _world(
    settings: ExposureConfig, events: int, codes: tuple[tuple[str, Any], ...], seed: int
) -> tuple[Exposure, SemanticIds]:  # fmt: skip
    """The same for all arms: a log, and codes of items that were chosen before what is learned from."""
    log = lived(settings, seed, newest=events)
    quantiser = ResidualKMeans(parse(ResidualKMeansConfig, dict(codes), where="codes"), seed=seed)
    quantiser.fit(log.interactions, {"item_vectors": log.features.item_vectors})
    return log, coded(quantiser, log.features.item_vectors)
