"""The people: how active each is, when they joined, what they view beside the pages, and when they come for one.

    n_u ~ LogNormal(log activity, spread)      a view: topic ~ π_u, one in ten any topic; item in it ~ softmax(b)
    visits on a day with probability 1 - exp(-visits n_u / mean n), between 6 and 20 h, once at most

That people go on viewing beside the pages, and that some join later, is ours: a log of clicks alone would show what was shown.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from headrace.contracts.requests import Float64, History, Int32, Int64
from headrace.contracts.rng import rng
from headrace.world.catalogue import Catalogue, Shelves
from headrace.world.settings import DAY_US, START_US, WorldConfig
from headrace.world.tastes import Tastes

_HOUR_US = DAY_US // 24
_DECLARES = 0.7


@dataclass(frozen=True)
class Views:
    """Columns, one row a view, in no order."""

    users: Int32
    items: Int32
    at_us: Int64


class Population:
    """Row 0 of every array is the unknown user."""

    def __init__(self, config: WorldConfig, catalogue: Catalogue, tastes: Tastes, seed: int):
        self.config, self.catalogue, self.tastes, self.seed = config, catalogue, tastes, seed
        n = config.users
        drawn = rng(seed, "activity").lognormal(np.log(config.activity), config.activity_spread, n)
        self.activity: Float64 = np.concatenate([[0.0], drawn])
        new = n - round(n * config.new_user_share) if config.days > 1 else n
        joined = np.sort(rng(seed, "joined").integers(1, max(config.days, 2), n - new))
        self.joined_day: Int64 = np.concatenate([[np.iinfo(np.int64).max], np.full(new, -1), joined])

    def known(self, day: int) -> int:
        """Users 1 to this number have joined by a day."""
        return int(np.searchsorted(self.joined_day[1:], day, side="right"))

    @cached_property
    def ids(self) -> pl.Series:
        numbers = pl.int_range(1, self.config.users + 1).cast(pl.String).str.zfill(6)
        return pl.select(pl.format("u{}", numbers)).to_series()

    def before(self) -> Views:
        """Everybody's views of the days before day 0."""
        counts = np.where(self.joined_day < 0, np.maximum(np.rint(self.activity), 1), 0).astype(np.int64)
        days = self.config.history_days
        return self._views(counts, -1, START_US - days * DAY_US, days * DAY_US)

    def browsing(self, day: int) -> Views:
        """What is viewed on a day beside the pages."""
        mean = np.where(self.joined_day <= day, self.activity * self.config.browsing / self.config.history_days, 0.0)
        return self._views(rng(self.seed, "browsing", day).poisson(mean), day, START_US + day * DAY_US, DAY_US)

    def visits(self, day: int) -> tuple[Int32, Int64]:
        """Who comes for a page on a day, and when, in time order."""
        draw = rng(self.seed, "visits", day)
        chance = 1 - np.exp(-self.config.visits * self.activity / self.activity[1:].mean())
        users = np.flatnonzero((draw.random(len(chance)) < chance) & (self.joined_day <= day)).astype(np.int32)
        at_us = START_US + day * DAY_US + draw.integers(6 * _HOUR_US, 20 * _HOUR_US, len(users))
        order = np.argsort(at_us, kind="stable")
        return users[order], at_us[order]

    def frame(self, day: int) -> pl.DataFrame:
        """The contract's users table as known on a day. favourite: the topic liked best at first, said so by seven in ten."""
        n = self.known(day)
        topics = len(self.catalogue.names)
        said = rng(self.seed, "favourites")
        declares, other = said.random(self.config.users)[:n] < _DECLARES, said.integers(0, topics, self.config.users)[:n]
        favourite = np.where(declares, self.tastes.mixtures(0)[1 : n + 1].argmax(1), other)
        joined = self.joined_day[1 : n + 1]
        since = np.where(joined < 0, START_US - (self.config.history_days + 1) * DAY_US, START_US + joined * DAY_US)
        return pl.DataFrame({
            "user_id": self.ids[:n], "valid_from": pl.Series(since).cast(pl.Datetime("us", "UTC")),
            "favourite": pl.Series(self.catalogue.names).gather(favourite),
        })  # fmt: skip

    def _views(self, counts: Int64, day: int, start_us: int, length_us: int) -> Views:
        users = np.repeat(np.arange(len(counts)), counts)
        draw = rng(self.seed, "views", day)
        running = self.tastes.mixtures(day).cumsum(1)
        topics = (running[users] < (draw.random(len(users)) * running[users, -1])[:, None]).sum(1)
        any_topic = draw.random(len(users)) < self.config.off_topic
        topics = np.where(any_topic, draw.integers(0, running.shape[1], len(users)), topics)
        items = Shelves(self.catalogue, day).draw(topics, draw.random(len(users)))
        return Views(users.astype(np.int32), items, start_us + draw.integers(0, length_us, len(users)))


def appended(events: History, views: Views) -> History:
    """Events [users + 1] with later ones of each user behind them, in time order. Cost O(events)."""
    order = np.lexsort((views.at_us, views.users))
    users = views.users[order]
    added = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=len(events)))])
    place = events.offsets[users + 1]
    items, at_us = np.insert(events.items, place, views.items[order]), np.insert(events.at_us, place, views.at_us[order])
    return History(events.offsets + added, items, at_us)
