"""A world whose pages stand on surfaces, some with many requests and most with few: scenarios of one population.

    surface of (user, day) ~ shares ∝ 1 / rank^zipf, by a hash        logit'(u, i, t) = logit(u, i, t) + a_s + b_{s, topic(i)}
    a_s ~ N(0, shift²),  b_{s, topic} ~ N(0, likings²)

So a surface has its own rate of clicks and likes topics of its own; what users like of items beyond that is the same on all. All
else is the world's: what follows a click, what users view beside. Every page is a uniform draw of what the world recalls, without
position bias, so that rows that are learned from and pairs that are judged are alike. Items are known by number and topic, users
by their history: as in the paper's public experiment there are ids and categories, no vectors.
A surface's own events are clicks on its pages. Judged are pairs of true chance: some of what was recalled on test days, and for
users who never clicked on the surface before them, once each, the whole catalogue.
`values` and `best` of the truth stay those of no surface: nothing here asks for them.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Float64, History, Int32, Int64, Requests
from headrace.contracts.rng import mix, rng, seed_of, uniform
from headrace.data.histories import HistoryStore
from headrace.flywheel.simulated import logger_of
from headrace.recipes.logs.exposure import TASKS, TOPIC, WEEKDAY, Truths
from headrace.recipes.logs.lists_of_days import all_requests, joined
from headrace.recipes.logs.scenarios import NEWEST, Asked, Codes, Scenario, Scenarios, Whole
from headrace.world.live import World
from headrace.world.outcomes import Outcome
from headrace.world.settings import DAY_US, START_US, WorldConfig, day_of
from headrace.world.truth import Chances, Truth, sigmoid

_AT_ONCE = 64


@config
class SurfacesConfig:
    """judged: items a test request. long_s: seconds of dwell that are long. The world's `days`, over which items and users
    arrive, are those up to the test, whatever it says."""

    world: WorldConfig = WorldConfig(position_bias=0.0, random_share=1.0)
    surfaces: Annotated[int, Gt(1)] = 8
    zipf: Annotated[float, Ge(0)] = 1.3
    shift: Annotated[float, Ge(0)] = 0.5
    likings: Annotated[float, Ge(0)] = 0.5
    warm_days: Annotated[int, Ge(0)] = 2
    upstream_days: Annotated[int, Gt(0)] = 12
    window_days: Annotated[int, Gt(0)] = 7
    test_days: Annotated[int, Gt(0)] = 3
    judged: Annotated[int, Gt(0)] = 40
    long_s: Annotated[float, Gt(0)] = 30.0

    @property
    def shares(self) -> Float64:
        weight = np.arange(1, self.surfaces + 1.0) ** -self.zipf
        share: Float64 = weight / weight.sum()
        return share

    @property
    def before_test(self) -> int:
        return self.warm_days + self.upstream_days + 1 + self.window_days + 1


class OnSurfaces(Truth):
    """The truth of a world, moved by surface."""

    def __init__(self, truth: Truth, settings: SurfacesConfig, seed: int):
        super().__init__(truth.config, truth.catalogue, truth.tastes, truth.offset)
        draw, self.seed = rng(seed, "surfaces"), seed_of(seed, "surface of a visit")
        rate = draw.normal(0, settings.shift, (settings.surfaces, 1))
        self.moves: Float64 = rate + draw.normal(0, settings.likings, (settings.surfaces, truth.config.topics))
        self.ends = settings.shares.cumsum()[:-1]

    def surface(self, users: Int32, at_us: Int64) -> Int64:
        """[R], 0 that with the most requests."""
        keys = mix(mix(users.astype(np.uint64), self.seed), day_of(at_us).astype(np.uint64))
        return np.searchsorted(self.ends, uniform(keys), side="right")

    def chances(self, users: Int32, items: Int32, at_us: Int64) -> Chances:
        of, there = super().chances(users, items, at_us), items > 0
        moved = np.take_along_axis(self.moves[self.surface(users, at_us)], self.catalogue.topic[items].astype(np.int64), 1)
        logit = of.logit + moved
        click = np.where(there, sigmoid(logit), 0.0)
        value = click * of.value / np.where(there, of.click, 1.0)
        return replace(of, logit=logit, click=click, value=value)


def lived(settings: SurfacesConfig, seed: int) -> Scenarios:
    """About 0.2 CPU-s a day of two thousand users."""
    world = World(replace(settings.world, days=settings.before_test), seed, newest=NEWEST)
    world.truth = truth = OnSurfaces(world.truth, settings, seed)
    logger = logger_of(world.config)
    days = [world.step(logger, regret=False) for _ in range(settings.before_test + settings.test_days)]
    return _Making(settings, world, truth, days).scenarios()


@dataclass(frozen=True)
class _Making:
    settings: SurfacesConfig
    world: World
    truth: OnSurfaces
    days: list[Outcome]

    def scenarios(self) -> Scenarios:
        settings, first = self.settings, self.settings.warm_days
        then = first + settings.upstream_days + 1
        last = then + settings.window_days
        lists = [_impressions(day, settings.long_s) for day in self.days]
        shown = [(day.requests.users, day.requests.at_us, day.shown) for day in self.days[first:]]
        users, at_us, items = (np.concatenate(of) for of in zip(*shown, strict=True))
        events = HistoryStore(self.world.past)
        whole = Whole(
            self._interactions(self.world.past, first), self._codes(), joined(lists[first : then - 1]), lists[then - 1],
            users, at_us, items, events,
        )  # fmt: skip
        window, held, test = joined(lists[then:last]), lists[last], self.days[last + 1 :]
        parts = [self._part(surface, window, held, test, events, then, last) for surface in range(settings.surfaces)]
        return Scenarios(whole, parts, _moment(last + 1))

    def _part(
        self, surface: int, window: CandidateLists, held: CandidateLists, test: list[Outcome], events: HistoryStore,
        then: int, last: int,
    ) -> Scenario:  # fmt: skip
        store = self._clicks(surface)

        def own(lists: CandidateLists) -> CandidateLists:
            rows = np.flatnonzero(self.truth.surface(lists.requests.users, lists.requests.at_us) == surface)
            lists = lists.take(rows)
            return replace(lists, requests=_with(lists.requests, store), tasks={})

        stopping = own(held)
        judged = [self._judged(day, surface, store) for day in test]
        asked = [one.requests for one in judged]
        chosen = self._interactions(store.events, last)
        return Scenario(
            name=f"surface {surface + 1}", interactions=self._interactions(store.events, then), chosen=chosen,
            features=self._codes(), lists=own(window), held=stopping, test=_joined(judged),
            wanted=Asked(stopping.requests, _clicked(stopping, chosen.n_items)),
            cold=self._cold(asked, store), events=events,
        )  # fmt: skip

    def _clicks(self, surface: int) -> HistoryStore:
        found = []
        for day in self.days:
            here = self.truth.surface(day.requests.users, day.requests.at_us) == surface
            row, slot = np.nonzero(day.click & here[:, None])
            found.append((day.requests.users[row], day.shown[row, slot], day.at_us["click"][row, slot]))
        users, items, at_us = (np.concatenate(of) for of in zip(*found, strict=True))
        return HistoryStore.from_events(users, items, at_us, len(self.world.past))

    def _judged(self, day: Outcome, surface: int, store: HistoryStore) -> Truths:
        requests = _asking(day.requests)
        rows = np.flatnonzero(self.truth.surface(requests.users, requests.at_us) == surface)
        requests, offered = _with(requests.take(rows), store), day.offered.items[rows]
        draws = rng(self.world.seed, "judged", day.day, surface).random(offered.shape)
        items = np.take_along_axis(offered, np.argsort(draws, axis=1)[:, : self.settings.judged], 1)
        chance = self.truth.chances(requests.users, items, requests.at_us).click
        return Truths(requests, Candidates(items, {}), {"click": chance})

    def _cold(self, asked: list[Requests], store: HistoryStore) -> Asked:
        """The first request of each user who had not clicked on the surface before the test."""
        requests = all_requests(asked)
        before = store.as_of(requests.users, np.full(len(requests), _moment(self.settings.before_test))).lengths
        _, first = np.unique(requests.users, return_index=True)
        requests = requests.take(np.sort(first[before[first] == 0]))
        items = np.arange(len(self.world.catalogue.topic), dtype=np.int32)
        worth = [
            self.truth.chances(part.users, np.broadcast_to(items, (len(part), len(items))), part.at_us).click
            for _, part in requests.chunks(_AT_ONCE)
        ]
        return Asked(requests, np.concatenate([np.zeros((0, len(items))), *worth]))

    def _interactions(self, events: History, day: int) -> Interactions:
        """As of the beginning of a day."""
        catalogue = self.world.catalogue
        whole = Interactions(
            history=events, n_items=len(catalogue.topic), cut_us=_moment(self.settings.before_test + self.settings.test_days + 1),
            weights=np.ones(len(events.items), np.float32), available=catalogue.arrival_day <= day,
            features={TOPIC: catalogue.topic + np.int32(1)},
        )  # fmt: skip
        return whole.before(_moment(day))

    def _codes(self) -> Codes:
        return Codes({WEEKDAY: 8, TOPIC: self.world.config.topics + 1}, _weekdays)


def _impressions(day: Outcome, long_s: float) -> CandidateLists:
    happened = dict(zip(TASKS, (day.click, day.dwell_s >= long_s, day.purchase, day.satisfied), strict=True))
    tasks = {task: values.astype(np.float32) for task, values in happened.items()}
    candidates = Candidates(day.shown, {})
    return CandidateLists(_asking(day.requests), candidates, tasks["click"], candidates.there, tasks)


def _asking(requests: Requests) -> Requests:
    return replace(requests, features=_weekdays(requests.users, requests.at_us))


def _weekdays(users: Int32, at_us: Int64) -> dict[str, Any]:
    return {WEEKDAY: (day_of(at_us) % 7 + 1).astype(np.int32)}


def _with(requests: Requests, store: HistoryStore) -> Requests:
    return replace(requests, history=store.as_of(requests.users, requests.at_us, NEWEST))


def _clicked(lists: CandidateLists, n_items: int) -> Float64:
    """[R, n_items]."""
    worth = np.zeros((len(lists), n_items))
    np.put_along_axis(worth, lists.candidates.items.astype(np.int64), lists.label.astype(np.float64), 1)
    return worth


def _joined(days: list[Truths]) -> Truths:
    items = np.concatenate([day.candidates.items for day in days])
    chance = np.concatenate([day.chance["click"] for day in days])
    return Truths(all_requests([day.requests for day in days]), Candidates(items, {}), {"click": chance})


def _moment(day: int) -> int:
    return START_US + day * DAY_US
