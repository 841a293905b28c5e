"""A film log of a few dozen people who like some genres: what a recipe on films runs on where only its code is asked about.

A film has one or two genres, and words of them in its overview; a user likes films of two genres, and rates others low.
"""

from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.rng import rng
from headrace.contracts.tables import EVENTS, ITEMS, USERS
from headrace.data.ring import DAY_US, START_US
from headrace.data.shape import in_shape, with_first_seen, with_missing

_GENRES = ("Comedy", "Drama", "Horror", "Musical", "Western")
_WORDS = 6
"""Of each genre, and of none."""


def write_films(folder: Path, *, users: int = 40, films: int = 100, ratings: int = 36, seed: int = 0) -> None:
    """items.parquet, users.parquet and events.parquet in contract shape. Some ratings of a user come at one moment."""
    draw = rng(seed, "films made up")
    first, second = draw.integers(0, len(_GENRES), (2, films))
    kinds = [sorted({_GENRES[a], _GENRES[b]}) for a, b in zip(first, second, strict=True)]
    said = draw.integers(0, _WORDS, (films, 4))
    overviews = [
        " ".join(f"{kind.lower()}{word}" for kind, word in zip((_GENRES[a], "any", _GENRES[b], "any"), words, strict=True))
        for a, b, words in zip(first, second, said, strict=True)
    ]
    items = pl.DataFrame({
        "item_id": [f"f{n}" for n in range(films)], "title": [f"Film {n}" for n in range(films)], "text": overviews,
        "categories": kinds,
    })  # fmt: skip
    tastes = draw.integers(0, len(_GENRES), (users, 2))
    user = np.repeat(np.arange(users), ratings)
    film = np.concatenate([draw.permutation(films)[:ratings] for _ in range(users)])
    fits = (tastes[user] == first[film][:, None]).any(1) | (tastes[user] == second[film][:, None]).any(1)
    likes = draw.random(len(user)) < np.where(fits, 0.95, 0.3)
    hour = np.sort(draw.integers(0, 24 * 30, (users, ratings)), axis=1).ravel()
    events = pl.DataFrame({
        "event_id": [f"r{n}" for n in range(len(user))], "user_id": [f"u{n}" for n in user],
        "item_id": [f"f{n}" for n in film], "at": START_US + hour * (DAY_US // 24), "value": np.where(likes, 4.5, 2.0),
    }).with_columns(at=pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC"), kind=pl.lit("rating"))  # fmt: skip
    events = in_shape(events, EVENTS)
    people = with_missing(pl.DataFrame(schema={"user_id": pl.String}), USERS, events)
    in_shape(with_first_seen(items, ITEMS, events), ITEMS).write_parquet(folder / "items.parquet")
    in_shape(people, USERS).write_parquet(folder / "users.parquet")
    events.write_parquet(folder / "events.parquet")
