"""A log of what a cascade chose to show, and the truth about what it did not: for recipes that learn from exposure.

A world (`world.live`) without position bias lives under its logger, so that whatever is shown is clicked with chance σ(s):

| days | what they are for |
|---|---|
| warm | all that was viewed and clicked before the window: `interactions` |
| window | learned from: `lists` (all that was recalled; known where shown), `impressions` (the shown alone, four tasks) |
| the next | `held`: its impressions, which stop training |
| the last | `uniform` items of the catalogue, what was `shown`, all that was `recalled`: with the true chance of each task |

Pages that the log flags as random are in none of these: `random_pages`, of the window and the day after it, are what trials are
chosen by. A tenth of the requests are answered so, where the generator has 2%: that would leave a dozen clicks to choose by.
Models read an item's topic and its vector e_i (which hangs on no click), the weekday and the history. Candidates also carry
what the world's stage 2 reads of a pair, recalled or not: stage 1's score, the item's cosine with the newest 50 of the history,
how many of the newest 5 are of its topic. A ranker reads them, so all that being shown hangs on; a pre-ranker does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from scipy.special import ndtr

from headrace.contracts.config import as_dict, config, parse
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Bool, Candidates, Float32, Float64, History, Int32, Requests
from headrace.contracts.rng import rng
from headrace.flywheel.simulated import logger_of
from headrace.recipes.logs.lists_of_days import all_candidates, all_requests, joined
from headrace.world.live import NEWEST, World
from headrace.world.outcomes import Outcome
from headrace.world.recall import RECENT_MATCHED, SPOKEN_FOR
from headrace.world.settings import DAY_US, START_US, WorldConfig

TASKS = ("click", "long_dwell", "purchase", "satisfied")
WEEKDAY, TOPIC = "user.weekday", "item.topic"
STAGE1, COSINE, RECENT = "pair.stage1", "pair.cosine", "pair.recent"
BINS = 48
"""Of equal width, of a score and of a cosine."""


@config
class ExposureConfig:
    """long_s: seconds of dwell that are long. drawn: items of a uniform list. The world's `days`, over which items and users
    arrive, are those up to the end of the window, whatever it says."""

    world: WorldConfig = WorldConfig(position_bias=0.0, random_share=0.1)
    warm_days: Annotated[int, Ge(0)] = 3
    window_days: Annotated[int, Gt(0)] = 11
    test_days: Annotated[int, Gt(0)] = 2
    long_s: Annotated[float, Gt(0)] = 30.0
    drawn: Annotated[int, Gt(0)] = 200


@dataclass(frozen=True)
class Sides:
    """What a scorer asks of "features": the number of codes of each, and the items' vectors [n_items, dim]."""

    sizes: Mapping[str, int]
    item_vectors: Float32


@dataclass(frozen=True)
class Truths:
    """Pairs and what is true of them. chance: task -> [R, C] that it comes of showing the item; 0 where there is none."""

    requests: Requests
    candidates: Candidates
    chance: Mapping[str, Float64]

    @property
    def click(self) -> Float64:
        return self.chance["click"]


@dataclass(frozen=True)
class Exposure:
    """lists, random_pages: known = shown, label = clicked. impressions, held: the shown alone, [R, slots], with `tasks`.

    considered [R, recalled]: of `lists`, what the world's stage 2 saw. unshown, considered_test: of `recalled`, the same [R, C].
    """

    world: World
    interactions: Interactions
    features: Sides
    lists: CandidateLists
    impressions: CandidateLists
    held: CandidateLists
    random_pages: CandidateLists
    considered: Bool
    uniform: Truths
    shown: Truths
    recalled: Truths
    unshown: Bool
    considered_test: Bool

    def artifacts(self, lists: CandidateLists) -> dict[str, Any]:
        """What scorers and labelers are given beside the interactions."""
        vectors = self.features.item_vectors
        return {"features": self.features, "candidate_lists": lists, "item_vectors": vectors}

    def past(self, before_us: int) -> History:
        """All that users had viewed and clicked before a moment."""
        everything = self.world.past
        weights = np.ones(len(everything.items), np.float32)
        until = START_US + self.world.day * DAY_US
        return replace(self.interactions, history=everything, weights=weights, cut_us=until).before(before_us).history


def log_settings(days: Mapping[str, Any], world: Mapping[str, Any]) -> dict[str, Any]:
    """As settings of a recipe: these over the defaults."""
    made = parse(ExposureConfig, days, where="exposure")
    return as_dict(replace(made, world=replace(made.world, **world)))


def lived(settings: ExposureConfig, seed: int, *, newest: int = NEWEST) -> Exposure:
    """About 0.1 CPU-s a day of a thousand users. newest: events of history that requests carry."""
    until = settings.warm_days + settings.window_days
    world = World(replace(settings.world, days=until), seed, newest=newest)
    logger = logger_of(world.config)
    for _ in range(settings.warm_days):
        world.step(logger, regret=False)
    interactions = _interactions(world)
    days = [world.step(logger, regret=False) for _ in range(settings.window_days + 1 + settings.test_days)]
    window, held, test = days[: settings.window_days], days[settings.window_days], days[settings.window_days + 1 :]
    scored = np.concatenate([day.offered.scores["stage1"].ravel() for day in window])
    low, high = np.quantile(scored, [0.001, 0.999]).tolist()
    make = _Making(settings, world, np.linspace(low, high, BINS - 1))
    sizes = {WEEKDAY: 8, TOPIC: world.config.topics + 1, STAGE1: BINS + 1, COSINE: BINS + 1, RECENT: RECENT_MATCHED + 2}
    return Exposure(
        world=world,
        interactions=interactions,
        features=Sides(sizes, world.catalogue.vectors.astype(np.float32)),
        lists=joined([make.lists(day) for day in window]),
        impressions=joined([make.impressions(day, ~day.random) for day in window]),
        held=make.impressions(held, ~held.random),
        random_pages=joined([make.impressions(day, day.random) for day in (*window, held)]),
        considered=_of_the_logger(window, _considered),
        uniform=_joined([make.uniform(day) for day in test]),
        shown=_joined([make.truths(day, day.shown) for day in test]),
        recalled=_joined([make.truths(day, day.offered.items) for day in test]),
        unshown=_of_the_logger(test, lambda day: ~_among(day.offered, day.shown)),
        considered_test=_of_the_logger(test, _considered),
    )


@dataclass(frozen=True)
class _Making:
    """edges: of stage 1's scores."""

    settings: ExposureConfig
    world: World
    edges: Float64

    def lists(self, day: Outcome) -> CandidateLists:
        known = _among(day.offered, day.shown)
        label = _among(day.offered, np.where(day.click, day.shown, 0)).astype(np.float32)
        candidates = self.paired(day.requests, day.offered.items)
        return CandidateLists(_asking(day.requests), candidates, label, known).take(np.flatnonzero(~day.random))

    def impressions(self, day: Outcome, rows: Bool) -> CandidateLists:
        long = day.dwell_s >= self.settings.long_s
        happened = dict(zip(TASKS, (day.click, long, day.purchase, day.satisfied), strict=True))
        tasks = {task: values.astype(np.float32) for task, values in happened.items()}
        candidates = self.paired(day.requests, day.shown)
        whole = CandidateLists(_asking(day.requests), candidates, tasks["click"], candidates.there, tasks)
        return whole.take(np.flatnonzero(rows))

    def uniform(self, day: Outcome) -> Truths:
        """Items that are there that day, each set of them alike."""
        n, drawn = self.world.catalogue.known(day.day), self.settings.drawn
        draws = rng(self.world.seed, "uniform items", day.day).random((len(day.requests), n))
        return self.truths(day, (np.argpartition(draws, drawn, axis=1)[:, :drawn] + 1).astype(np.int32))

    def truths(self, day: Outcome, items: Int32) -> Truths:
        """Of the requests that the logger answered."""
        rows = np.flatnonzero(~day.random)
        requests, items = day.requests.take(rows), items[rows]
        true = self.world.truth.chances(requests.users, items, requests.at_us)
        long = ndtr((true.log_dwell - np.log(self.settings.long_s)) / self.world.config.dwell_spread)
        chances = (np.ones_like(long), long, true.purchase, true.satisfied)
        chance = {task: true.click * after for task, after in zip(TASKS, chances, strict=True)}
        return Truths(_asking(requests), self.paired(requests, items), chance)

    def paired(self, requests: Requests, items: Int32) -> Candidates:
        """No retriever's score: those of uniformly drawn items would be missing, and give them away."""
        recall, topic = self.world.recall, self.world.catalogue.topic
        stage1 = np.einsum("rd,rcd->rc", recall.seen(requests), recall.vectors[items]) + recall.pull[items]
        past = recall.vectors[requests.history.last(SPOKEN_FOR)].sum(1)
        past /= np.maximum(np.linalg.norm(past, axis=1, keepdims=True), 1e-12)
        cosine = np.einsum("rd,rcd->rc", past, recall.vectors[items])
        newest = topic[requests.history.last(RECENT_MATCHED)]  # -1 where there is none, which no item has
        recent = sum(topic[items] == newest[:, place, None] for place in range(RECENT_MATCHED))
        codes = {
            STAGE1: np.searchsorted(self.edges, stage1),
            COSINE: np.clip((cosine + 1) / 2 * BINS, 0, BINS - 1).astype(np.int32),
            RECENT: recent,
        }
        found = {name: np.where(items > 0, 1 + values, 0).astype(np.int32) for name, values in codes.items()}
        return Candidates(items, {}, found)


def _joined(truths: Sequence[Truths]) -> Truths:
    chance = {task: np.concatenate([one.chance[task] for one in truths]) for task in TASKS}
    return Truths(all_requests([one.requests for one in truths]), all_candidates([one.candidates for one in truths]), chance)


def _interactions(world: World) -> Interactions:
    """All that was viewed and clicked before the world's next day, and the catalogue as it stood."""
    there = world.catalogue.arrival_day <= world.day
    past = world.past
    return Interactions(
        history=past, n_items=len(there), cut_us=START_US + world.day * DAY_US, weights=np.ones(len(past.items), np.float32),
        available=there, features={TOPIC: world.catalogue.topic + np.int32(1)},
    )  # fmt: skip


def _asking(requests: Requests) -> Requests:
    return replace(requests, features={WEEKDAY: (requests.features["weekday"] + 1).astype(np.int32)})


def _among(offered: Candidates, items: Int32) -> Bool:
    """[R, C]: which of the candidates are among a request's items [R, S]."""
    found: Bool = (offered.items[:, :, None] == items[:, None, :]).any(2) & offered.there
    return found


def _considered(day: Outcome) -> Bool:
    return ~np.isnan(day.offered.scores["stage2"])


def _of_the_logger(days: Sequence[Outcome], read: Callable[[Outcome], Bool]) -> Bool:
    return np.concatenate([read(day)[~day.random] for day in days])
