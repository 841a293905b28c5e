"""Films as their readers meet them: lists of one film that a user came to like and some that others liked by then, to be ordered.

Liked is a rating of 4 and more. Of each user's liked films, in time order:

| which | what they are for |
|---|---|
| the oldest `before` share | history alone; what is written of a user beforehand is of these (`early`) |
| those between | `lists`, which are learned from: at most `train` a user, another draw of them with each seed |
| the `stop` before the last | `held`, which stops training |
| the newest `test` | `test` |

A list is asked at the moment its film was rated, and its history is what the user had liked strictly before: never a film that
was rated at that same moment. The others of the list are draws from all that anyone had liked strictly before it, so films as
popular as what is liked, none of which the user ever rated; another draw with each seed. Where films of one moment would stand on
both sides of a border, those before it are left out. Who has fewer than `least` liked films is left out, and so is who has not
`test` lists with `known` films of history and `others` to draw. A share of the users, `apart`, is asked and never learned from.

What leaks: users' rows overlap in time, so what others did later is learned from; compare within a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Ge, Gt, Lt

from headrace.contracts.config import config, digest
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Bool, Candidates, Float32, Int32, Int64, Requests
from headrace.contracts.rng import rng, stable_hash
from headrace.data.histories import HistoryStore
from headrace.data.log import Log
from headrace.data.splits import user_draw
from headrace.data.steps import gathered

LIKED = 4.0
"""Of 5, at least."""
_DRAWN = 8
"""Draws for each film that a list wants: some the user knows, some come twice."""


@config
class FilmsReadConfig:
    least: Annotated[int, Gt(0)] = 20
    known: Annotated[int, Gt(0)] = 5
    before: Annotated[float, Gt(0.0), Lt(1.0)] = 0.3
    train: Annotated[int, Gt(0)] = 8
    stop: Annotated[int, Gt(0)] = 2
    test: Annotated[int, Gt(0)] = 5
    others: Annotated[int, Gt(0)] = 19
    newest: Annotated[int, Gt(0)] = 20
    apart: Annotated[float, Ge(0.0), Lt(1.0)] = 0.2


@dataclass(frozen=True)
class Films:
    """A log of liked films. rated: user * n_items + film of every rating, sorted. words: by item number, title, genres and
    overview, "" where there is none. genres [n_items, names]: of which kinds each is."""

    log: Log
    rated: Int64
    words: Mapping[str, tuple[str, ...]]
    genres: Bool
    names: tuple[str, ...]

    @classmethod
    def of(cls, tables: Path) -> "Films":
        log = Log.from_tables(tables)
        ratings = pl.read_parquet(tables / "events.parquet", columns=["event_id", "user_id", "item_id", "at", "value"])
        users, items = log.users.encode(ratings["user_id"]), log.items.encode(ratings["item_id"])
        liked, at_us = (ratings["value"] >= LIKED).to_numpy(), ratings["at"].dt.timestamp("us").to_numpy()
        order = stable_hash(ratings["event_id"].to_list())  # of films of one moment: no signal, and each film's own
        store = HistoryStore.from_events(users[liked], items[liked], at_us[liked], len(log.users), order[liked])
        rows = pl.read_parquet(tables / "items.parquet", columns=["item_id", "title", "text", "categories"])
        number, kinds = log.items.encode(rows["item_id"]), rows["categories"].fill_null([]).to_list()
        names = tuple(sorted({name for of in kinds for name in of}))
        genres = np.zeros((len(log.items), len(names)), np.bool_)
        for item, of in zip(number, kinds, strict=True):
            genres[item, [names.index(name) for name in of]] = True
        columns = {"title": rows["title"], "genres": pl.Series([", ".join(of) for of in kinds]), "overview": rows["text"]}
        words = {name: _by_item(of, number, len(log.items)) for name, of in columns.items()}
        rated = np.unique(users.astype(np.int64) * len(log.items) + items)
        return cls(log.with_store(store), rated, words, genres, names)

    def texts(self, *parts: str) -> tuple[str, ...]:
        """By item number, these parts of what is said of it, a line each."""
        return tuple("\n".join(filter(None, said)) for said in zip(*(self.words[part] for part in parts), strict=True))

    @property
    def digest(self) -> str:
        events = self.log.store.events
        arrays = [events.offsets, events.items, events.at_us, self.rated]
        return digest([sha256(np.ascontiguousarray(of).tobytes()).hexdigest() for of in arrays] + [dict(self.words)])


@dataclass(frozen=True)
class NothingBeside:
    """What a scorer asks of "features": there are none, so that an item is its text."""

    sizes: Mapping[str, int]
    item_vectors: Float32 | None = None


@dataclass(frozen=True)
class FilmsRead:
    """early: each user's liked films before any that are asked. interactions: those and what is learned from. apart [users]."""

    films: Films
    early: Interactions
    interactions: Interactions
    lists: CandidateLists
    held: CandidateLists
    test: CandidateLists
    apart: Bool

    def artifacts(self, lists: CandidateLists) -> dict[str, Any]:
        return {"features": NothingBeside({}), "candidate_lists": lists}


def films_read(films: Films, settings: FilmsReadConfig, seed: int) -> FilmsRead:
    log, events = films.log, films.log.store.events
    users = events.rows()
    place = np.arange(len(users)) - events.offsets[users]
    counts = events.lengths
    there = counts >= max(settings.least, settings.test + settings.stop + 1)
    early, stop, test = (np.maximum(of, 0) for of in (
        np.floor(settings.before * counts).astype(np.int64), counts - settings.test - settings.stop, counts - settings.test
    ))  # fmt: skip
    start_us, stop_us, test_us = (_moment(events.at_us, events.offsets, of, there) for of in (early, stop, test))
    apart = user_draw(log.users, log.seed) < settings.apart
    at_us, learned = events.at_us, there[users] & ~apart[users]
    between = learned & (at_us >= start_us[users]) & (at_us < stop_us[users])
    stopping = learned & (place >= stop[users]) & (place < test[users]) & (at_us < test_us[users])
    asked = there[users] & (place >= test[users])
    lists, held, tested = (
        _lists(films, np.flatnonzero(rows), settings, seed, name)
        for name, rows in (("train", between), ("stop", stopping), ("test", asked))
    )
    whole = np.bincount(tested.requests.users, minlength=len(counts)) == settings.test
    lists, held, tested = (of.take(np.flatnonzero(whole[of.requests.users])) for of in (lists, held, tested))
    return FilmsRead(
        films=films,
        early=_liked_before(films, np.where(whole, start_us, 0)),
        interactions=_liked_before(films, np.where(whole & ~apart, stop_us, 0)),
        lists=lists.take(_a_few(lists.requests.users, settings.train, seed)),
        held=held,
        test=tested,
        apart=apart,
    )


def _lists(films: Films, rows: Int64, settings: FilmsReadConfig, seed: int, name: str) -> CandidateLists:
    """Of these events, those with history and others enough; the liked film stands in a place of its own draw."""
    log, events = films.log, films.log.store.events
    users, liked, at_us = events.rows()[rows].astype(np.int32), events.items[rows], events.at_us[rows]
    draw = rng(seed, "others", name)
    others, found = _others(films, users, at_us, settings.others, draw)
    history = log.store.as_of(users, at_us, settings.newest)
    kept = np.flatnonzero(found & (history.lengths >= settings.known))
    items = np.concatenate([liked[:, None], others], 1)[kept]
    order = np.argsort(draw.random(items.shape), axis=1)
    ids = np.char.add(np.char.add(users.astype(np.str_), "#"), rows.astype(np.str_))[kept]
    requests = Requests(ids, users[kept], at_us[kept], history.take(kept))
    return CandidateLists(requests, Candidates(np.take_along_axis(items, order, 1), {}), (order == 0).astype(np.float32))


def _others(films: Films, users: Int32, at_us: Int64, n: int, draw: np.random.Generator) -> tuple[Int32, Bool]:
    """[R, n] films, each a like drawn from all strictly before, none twice and none the user ever rated; where there were n."""
    events, n_items = films.log.store.events, len(films.log.items)
    order = np.argsort(events.at_us, kind="stable")
    before = np.searchsorted(events.at_us[order], at_us)[:, None]
    places = (draw.random((len(users), _DRAWN * n)) * before).astype(np.int64)
    items = np.where(before > 0, events.items[order][np.minimum(places, np.maximum(before - 1, 0))], 0)
    new = (items > 0) & ~np.isin(users[:, None].astype(np.int64) * n_items + items, films.rated) & _first_in_row(items)
    chosen = np.argsort(~new, axis=1, kind="stable")[:, :n]
    return np.take_along_axis(items, chosen, 1), np.take_along_axis(new, chosen, 1).sum(1) == n


def _first_in_row(items: Int32) -> Bool:
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, 1)
    new = np.ones(items.shape, np.bool_)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, 1)
    return first


def _moment(at_us: Int64, offsets: Int64, place: Int64, there: Bool) -> Int64:
    """When each user's event at a place came, [users]; 0 for those who are left out."""
    found = at_us[np.minimum(offsets[:-1] + place, len(at_us) - 1)]
    return np.where(there, found, 0)


def _liked_before(films: Films, until_us: Int64) -> Interactions:
    """Each user's liked films strictly before a moment of their own, [users]."""
    events = films.log.store.events
    history = gathered(events, events.offsets[:-1], films.log.store.places(until_us))
    return Interactions(
        history=history,
        n_items=len(films.log.items),
        cut_us=int(history.at_us.max(initial=0)) + 1,
        weights=np.ones(len(history.items), np.float32),
        available=np.arange(len(films.log.items)) > 0,
    )


def _a_few(users: Int32, most: int, seed: int) -> Int64:
    """Rows of at most so many lists a user, by a draw, in the order they stand in."""
    order = np.lexsort((rng(seed, "lists of a user").random(len(users)), users))
    first = np.searchsorted(users[order], users[order])
    return np.sort(order[np.arange(len(users)) - first < most])


def _by_item(texts: pl.Series, number: Int32, n_items: int) -> tuple[str, ...]:
    found = np.full(n_items, "", object)
    found[number] = texts.fill_null("").str.replace_all("\n", " ").str.strip_chars().to_list()
    return tuple(found.tolist())
