"""Films' genres as scenarios of one log of ratings, split by time: every rating is a row, asked at its own moment.

Liked is a rating of 4 and more, loved one of 4.5; both are tasks of the upstream, the first is a scenario's. A history is the
liked films strictly before. Of all ratings in time order, shares (`GenresConfig`): `before` are history alone, then come those
that the upstream learns from, a `stop` that stops it, those that scenarios learn from, a `stop`, and the test. A scenario is a
genre, its rows the ratings of its films (a film of two genres is in both), its own events liked films of it; those with the
most rows after the upstream's are taken, every other one. Proposed is to users without a liked film of the genre before the test,
once each: worth something are those that they came to like in it.
Most users rate all they rate within days, so those of the test are seldom those that weights were learned from: an upstream knows
them by what they rated hours before. A seed draws first weights and batches; the ratings are the same, so intervals over seeds
say nothing of other logs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Gt, Lt
from numpy.typing import NDArray

from headrace.contracts.config import config, digest
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Bool, Candidates, Float64, Int32, Int64, Requests
from headrace.contracts.rng import stable_hash
from headrace.data import datasets
from headrace.data.histories import HistoryStore
from headrace.data.log import Log
from headrace.recipes.logs.exposure import Truths
from headrace.recipes.logs.films_made_up import write_films
from headrace.recipes.logs.scenarios import NEWEST, Asked, Codes, Scenario, Scenarios, Whole

MADE_UP = "films made up"
LIKED, LOVED = 4.0, 4.5
GENRES = "item.genres"


@config
class GenresConfig:
    """genres: how many. of: of so many with the most rows, evenly taken."""

    genres: Annotated[int, Gt(1)] = 8
    of: Annotated[int, Gt(1)] = 16
    before: Annotated[float, Gt(0), Lt(1)] = 0.1
    upstream: Annotated[float, Gt(0), Lt(1)] = 0.45
    window: Annotated[float, Gt(0), Lt(1)] = 0.25
    stop: Annotated[float, Gt(0), Lt(1)] = 0.05


@dataclass(frozen=True)
class Ratings:
    """users, items, at_us, value [N] in the order of time. kinds [n_items, names]."""

    users: Int32
    items: Int32
    at_us: Int64
    value: Float64
    kinds: Bool
    names: Sequence[str]
    n_users: int

    @classmethod
    def of(cls, tables: Path) -> "Ratings":
        log = Log.from_tables(tables)
        rows = pl.read_parquet(tables / "events.parquet", columns=["event_id", "user_id", "item_id", "at", "value"])
        at_us = rows["at"].dt.timestamp("us").to_numpy()
        order = np.lexsort((stable_hash(rows["event_id"].to_list()), at_us))
        films = pl.read_parquet(tables / "items.parquet", columns=["item_id", "categories"])
        listed = films["categories"].fill_null([]).to_list()
        names = sorted({name for of in listed for name in of})
        kinds = np.zeros((len(log.items), len(names)), np.bool_)
        for item, of in zip(log.items.encode(films["item_id"]), listed, strict=True):
            kinds[item, [names.index(name) for name in of]] = True
        users, items = log.users.encode(rows["user_id"]), log.items.encode(rows["item_id"])
        value = rows["value"].to_numpy().astype(np.float64)
        return cls(users[order], items[order], at_us[order], value[order], kinds, names, len(log.users))

    @property
    def digest(self) -> str:
        return digest([sha256(np.ascontiguousarray(of).tobytes()).hexdigest() for of in (self.users, self.items, self.value)])

    @cached_property
    def codes(self) -> Int32:
        """A film's genres, [n_items, most], 0 behind the last."""
        most = max(int(self.kinds.sum(1).max()), 1)
        found = np.where(self.kinds, np.arange(1, len(self.names) + 1), 0)
        return -np.sort(-found, axis=1)[:, :most].astype(np.int32)

    def liked(self, among: NDArray[np.bool_] | None = None) -> HistoryStore:
        """Of these films, or all."""
        rows = self.value >= LIKED
        if among is not None:
            rows &= among[self.items]
        return HistoryStore.from_events(self.users[rows], self.items[rows], self.at_us[rows], self.n_users)


_opened: dict[str, Ratings] = {}


def open_films(folder: Path, data: str) -> str:
    """Its digest. folder: where what is made up is put."""
    tables = folder / "films" if data == MADE_UP else datasets.get(data)
    if data == MADE_UP:
        tables.mkdir(parents=True, exist_ok=True)
        write_films(tables)
    _opened[data] = Ratings.of(tables)
    return _opened[data].digest


def split(data: str, settings: GenresConfig) -> Scenarios:
    return split_ratings(_opened[data], settings)


def split_ratings(of: Ratings, settings: GenresConfig) -> Scenarios:
    shares = np.cumsum([settings.before, settings.upstream, settings.stop, settings.window, settings.stop])
    cuts_us = of.at_us[(shares * len(of.at_us)).astype(np.int64)].tolist()
    return _Making(of, cuts_us).scenarios(settings)


@dataclass(frozen=True)
class _Making:
    """cuts_us: when the upstream's rows begin, its stop, the scenarios' rows, their stop, and the test."""

    of: Ratings
    cuts_us: list[int]

    def scenarios(self, settings: GenresConfig) -> Scenarios:
        of, (first, stop, then, last, test) = self.of, self.cuts_us
        everything, after = of.liked(), np.flatnonzero(of.at_us >= first)
        whole = Whole(
            self._interactions(everything, first, None), self._codes(), self._lists(first, stop, None, everything),
            self._lists(stop, then, None, everything), of.users[after], of.at_us[after], of.items[after, None], everything,
        )  # fmt: skip
        window = of.items[(of.at_us >= then) & (of.at_us < last)]
        order = np.argsort(-of.kinds[window].sum(0), kind="stable")[: settings.of]
        taken = order[np.linspace(0, len(order) - 1, min(settings.genres, len(order))).astype(np.int64)]
        return Scenarios(whole, [self._part(int(genre), everything) for genre in taken], test)

    def _part(self, genre: int, everything: HistoryStore) -> Scenario:
        of, (_, _, then, last, test) = self.of, self.cuts_us
        among, end = of.kinds[:, genre], int(of.at_us.max()) + 1
        store = of.liked(among)
        stopping, tested = self._lists(last, test, among, store), self._lists(test, end, among, store)
        truths = Truths(tested.requests, tested.candidates, {"click": tested.label.astype(np.float64)})
        before = store.as_of(tested.requests.users, np.full(len(tested), test)).lengths
        return Scenario(
            name=of.names[genre], interactions=self._interactions(store, then, among),
            chosen=self._interactions(store, last, among), features=self._codes(), lists=self._lists(then, last, among, store),
            held=stopping, test=truths, wanted=self._asked(stopping), cold=self._asked(tested.take(np.flatnonzero(before == 0))),
            events=everything,
        )  # fmt: skip

    def _lists(self, start: int, end: int, among: NDArray[np.bool_] | None, store: HistoryStore) -> CandidateLists:
        of = self.of
        rows = (of.at_us >= start) & (of.at_us < end)
        if among is not None:
            rows &= among[of.items]
        users, at_us = of.users[rows], of.at_us[rows]
        ids = np.char.add("r", np.flatnonzero(rows).astype(np.str_))
        requests = Requests(ids, users, at_us, store.as_of(users, at_us, NEWEST))
        candidates = Candidates(of.items[rows, None], {})
        tasks = {name: (of.value[rows, None] >= least).astype(np.float32) for name, least in (("liked", LIKED), ("loved", LOVED))}
        return CandidateLists(requests, candidates, tasks["liked"], candidates.there, tasks if among is None else {})

    def _asked(self, lists: CandidateLists) -> Asked:
        """Each user once, at their first row."""
        users, first, row = np.unique(lists.requests.users, return_index=True, return_inverse=True)
        worth = np.zeros((len(users), len(self.of.kinds)))
        np.maximum.at(worth, (row, lists.candidates.items[:, 0]), lists.label[:, 0])
        return Asked(lists.requests.take(first), worth)

    def _interactions(self, store: HistoryStore, cut_us: int, among: NDArray[np.bool_] | None) -> Interactions:
        events, n_items = store.events, len(self.of.kinds)
        available = np.arange(n_items) > 0 if among is None else among
        weights = np.ones(len(events.items), np.float32)
        whole = Interactions(events, n_items, int(self.of.at_us.max()) + 1, weights, available, {GENRES: self.of.codes})
        return whole.before(cut_us)

    def _codes(self) -> Codes:
        return Codes({GENRES: len(self.of.names) + 1}, _nothing)


def _nothing(users: Int32, at_us: Int64) -> dict[str, Any]:
    return {}


def described(settings: GenresConfig) -> str:
    ends = np.cumsum([settings.before, settings.upstream, settings.stop, settings.window])
    before, upstream, then, window = (f"{end:.0%}" for end in ends)
    return (
        f"MovieLens latest small, ratings in the order of time: an upstream of those from {before} to {upstream}, "
        f"{settings.genres} genres of those from {then} to {window}, tested on the newest {1 - ends[-1] - settings.stop:.0%}; a "
        "seed draws first weights alone"
    )
