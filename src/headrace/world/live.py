"""A world that lives: a day at a time, any policy answers its users, and what they do is in their histories the next day.

    world = World(WorldConfig(users=500), seed=0)
    for _ in range(7):
        outcome = world.step(policy)                       # a page policy gets the world's candidates; a cascade: see `translate`
        print(outcome.day, outcome.click.mean(), outcome.utility.mean(), outcome.regret.mean())
        world.append_log(folder, outcome)                  # the project's own tables: retrain on them whenever you like
        world.save(folder / "world.safetensors")           # killed here, World.load goes on with the same bits

Everything but the histories is a function of (config, seed, day); so a world is its seed and the steps taken, and the same steps
give the same world. `random_share` of each day's requests are answered uniformly from the world's recalled set, flagged: their
pages are unbiased, and `world.truth` knows what every item would have brought.
"""

import json
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.atomic import writing
from headrace.contracts.config import as_dict, parse
from headrace.contracts.requests import Candidates, Float64, History, Int64, Requests
from headrace.contracts.seams import Policy
from headrace.data.histories import HistoryStore
from headrace.world.calibration import calibrated
from headrace.world.catalogue import Catalogue
from headrace.world.emit import append_day
from headrace.world.outcomes import Outcome, outcomes
from headrace.world.population import Population, Views, appended
from headrace.world.recall import Recall
from headrace.world.serving import serve
from headrace.world.settings import WorldConfig
from headrace.world.tastes import Tastes
from headrace.world.truth import Truth

NEWEST = 1000
ArmOf = Callable[[Requests], Int64]


class World:
    """day: the one that comes next. newest: events of history that a request carries. It is no part of what is saved: from the
    50 that the world's own stages read up, what happens doesn't hang on it."""

    def __init__(self, config: WorldConfig | None = None, seed: int = 0, *, newest: int = NEWEST):
        self.config, self.seed, self.newest, self.day = config or WorldConfig(), seed, newest, 0
        self.catalogue = Catalogue.drawn(self.config, seed)
        tastes = Tastes(self.config.users, self.catalogue.centres, self.config.drift, seed)
        self.people = Population(self.config, self.catalogue, tastes, seed)
        nobody = History(np.zeros(self.config.users + 2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
        self.past = appended(nobody, self.people.before())
        self.truth = Truth(self.config, self.catalogue, tastes)
        self.recall = Recall(self.config, self.catalogue, self.truth, seed)
        self._today: tuple[int, Views, HistoryStore] | None = None

        self.truth.offset = calibrated(self.config, self.people, self.past, self.truth, self.recall, seed)

    @cached_property
    def item_ids(self) -> pl.Series:
        """Of items 1, 2, …"""
        return self.catalogue.ids

    @property
    def user_ids(self) -> pl.Series:
        return self.people.ids

    def requests(self, day: int | None = None) -> Requests:
        """Who comes on a day gone by or the next one, in time order, with what they did before that moment."""
        day = self.day if day is None else day
        if day > self.day:
            raise ValueError(f"day {day} is not there yet: the next is {self.day}, take World.step first")
        users, at_us = self.people.visits(day)
        names = pl.select(pl.format("d{}{}", pl.lit(f"{day:03d}"), self.user_ids.gather(users - 1))).to_series()
        ids = np.array(names.to_list(), np.str_)
        features = {"weekday": np.full(len(users), day % 7, np.int32), "surface": np.full(len(users), "home")}
        return Requests(ids, users, at_us, self._store().as_of(users, at_us, self.newest), features)

    def candidates(self, requests: Requests) -> Candidates:
        """What the world recalls: `recall` says how. The logger's score, stage2, is NaN where an item was not considered."""
        return self.recall(requests)

    def step(self, policy: Policy | Sequence[Policy], *, arm_of: ArmOf | None = None, regret: bool = True) -> Outcome:
        """Serve a day, and let it pass. policy: one, or several with arm_of(requests) -> which of them answers each, [R]."""
        policies = list(policy) if isinstance(policy, Sequence) else [policy]
        requests = self.requests()
        offered = self.candidates(requests)
        arm = np.zeros(len(requests), np.int64) if arm_of is None else arm_of(requests)
        served = serve(requests, offered, policies, arm, self.config, self.seed)
        outcome = outcomes(self.day, requests, offered, served, self.truth, self.seed, regret)
        self._pass(outcome)
        return outcome

    def utility(self, policy: Policy, requests: Requests) -> Float64:
        """The true expected utility of the pages a policy gives, [R], and nothing happens."""
        served = serve(requests, self.candidates(requests), [policy], None, self.config, self.seed)
        return self.truth.utility(requests.users, served.shown, requests.at_us)

    def append_log(self, folder: Path, outcome: Outcome) -> None:
        """Write a day's tables beside those of the days before it. Done again, it writes the same bytes."""
        append_day(folder, self, outcome)

    def save(self, path: Path) -> None:
        """One file, replaced whole."""
        settings = json.dumps({"config": as_dict(self.config), "seed": self.seed, "day": self.day}).encode()
        past: dict[str, NDArray[Any]] = {name: getattr(self.past, name) for name in ("offsets", "items", "at_us")}
        making = path.with_name(f".{path.name}-{os.getpid()}")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_arrays(making, {"settings": np.frombuffer(settings, np.uint8), **past})
            os.replace(making, path)

    @classmethod
    def load(cls, path: Path, *, newest: int = NEWEST) -> "World":
        arrays = load_arrays(path)
        kept = json.loads(arrays["settings"].tobytes())
        world = cls(parse(WorldConfig, kept["config"], where=str(path)), kept["seed"], newest=newest)
        world.day = kept["day"]
        world.past = History(arrays["offsets"], arrays["items"], arrays["at_us"])
        return world

    def _store(self) -> HistoryStore:
        """Histories with what is viewed today."""
        if self._today is None or self._today[0] != self.day:
            views = self.people.browsing(self.day)
            self._today = self.day, views, HistoryStore(appended(self.past, views))
        return self._today[2]

    def _pass(self, outcome: Outcome) -> None:
        """The day's views and clicks become past."""
        self._store()
        assert self._today is not None
        views = self._today[1]
        row, slot = np.nonzero(outcome.click)
        together = Views(
            np.concatenate([views.users, outcome.requests.users[row]]),
            np.concatenate([views.items, outcome.shown[row, slot]]),
            np.concatenate([views.at_us, outcome.at_us["click"][row, slot]]),
        )
        self.past, self.day, self._today = appended(self.past, together), self.day + 1, None
