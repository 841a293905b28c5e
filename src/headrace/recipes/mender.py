"""Mender: is a preference in words followed, with the user's taste, against it, away from an item, and out of several?

| axis | asks |
|---|---|
| recommendation (oracle) | the next item, with that one of the user's preferences which is most like it |
| fine, coarse steering | an item by a preference like it, for the history of whoever wanted a very like item, or the least like |
| sentiment | a disliked item: in the list for the opposite of what its user avoids, and not in the list for that |
| consolidation | the next item, with all of the user's preferences |

Arms: the paper's Mender-Emb ("mender"), the same trained and asked without preferences, with coarse examples, with pairs of
opposites, with all examples and the polarity heard ("mender, all, signed"); TIGER and SASRec, who read histories alone; and items
by likeness to the preference without any model, as it was said and with its polarity. The log is cut as the paper's: users and
items with at least five events each, the newest 20 events of a user. Every learned arm has as many epochs; nothing is tuned. Bars
are other arms' figures, scaled. Three seeds, which is what the time allowed: as many epochs as the sizes' specification asks for
were put before five seeds of fewer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from headrace.data import datasets
from headrace.recipes.claims import Claim
from headrace.recipes.discerning import AXES
from headrace.recipes.protocol import Budget
from headrace.recipes.steered import Bar, Steerable, Steered
from headrace.recipes.tastes import write_tastes

_PUBLISHED = (
    "axis 1, recall@10 on Beauty: Mender-Tok .0937, SASRec .0528; coarse steering and sentiment following stay near zero unless "
    "the matching examples are trained on (as summarised; the paper's own tables of the other axes were not at hand)"
)
_MAIN, _FINE, _COARSE, _SENTIMENT, _SEVERAL = AXES


def _claim(says: str, metric: str, better: str, than: str, protocol: str, **more: Any) -> Claim:
    return Claim(says=says, published=_PUBLISHED, metric=metric, better=better, than=than, protocol=protocol, **more)


CLAIM = _claim(
    "With the oracle's preference the next item is found over a fifth more often than by the same model without preferences.",
    "recall@10", "mender", "1.2 x no preference", _MAIN,
)  # fmt: skip
FURTHER = (
    _claim("The model adds to mere likeness to the preference.", "recall@10", "mender", "nearest", _MAIN),
    _claim(
        "Untaught, coarse steering reaches less than a quarter of axis 1.",
        "recall@10", "a quarter of axis 1", "mender", _COARSE,
    ),
    _claim("Taught by coarse examples it recovers to more.", "recall@10", "mender, coarse", "a quarter of axis 1", _COARSE),
    _claim(
        "Untaught, a wish and its opposite are told apart in at most 2 of 100 cases.",
        "m@10", "mender", "nothing", _SENTIMENT, form="not worse", less=True, margin=0.02,
    ),
    _claim("Taught by pairs of opposites, in more.", "m@10", "mender, opposites", "mender", _SENTIMENT),
    _claim("Several preferences help, though nobody says which.", "recall@10", "mender", "no preference", _SEVERAL),
    _claim("They help less than the oracle's.", "recall@10", "axis 1", "mender", _SEVERAL),
    _claim("On fine steering it beats TIGER.", "recall@10", "mender", "tiger", _FINE),
    _claim("On coarse steering, taught, it beats TIGER.", "recall@10", "mender, coarse", "tiger", _COARSE),
    _claim("On fine steering it beats dense retrieval by history.", "recall@10", "mender", "sasrec", _FINE),
    _claim("On coarse steering, taught, as well.", "recall@10", "mender, coarse", "sasrec", _COARSE),
)  # fmt: skip


def work(budget: Budget) -> Steered:
    if budget == "smoke":
        train = {"epochs": 1, "learning_rate": 0.01}
        return Steered(
            data="tastes", arms=_arms(train, dim=16, layers=1), write=lambda folder: write_tastes(folder, users=30, steps=8),
            seeds=1, codes=8, dim=16,
        )  # fmt: skip
    epochs = 12 if budget == "cpu" else 60
    train = {"epochs": epochs, "learning_rate": 1e-3, "weight_decay": 0.035}
    return Steered(
        data="movielens-latest-small",
        arms=_arms(train, dim=64, layers=2),
        write=_write_films,
        seeds=3 if budget == "cpu" else 5,
        codes=64,
        dim=256,
    )


def _arms(train: Mapping[str, Any], *, dim: int, layers: int) -> Mapping[str, Steerable | Bar]:
    body = {"dim": dim, "layers": layers, "heads": 4, "hidden": 4 * dim, "batch_size": 128, "train": train}
    said = {**body, "polarity": False, "withheld": 0.0}
    everything = {"fine": True, "coarse": True, "opposites": True}
    # A window of SASRec's is up to 20 targets, so 8 of them are about as many as the others' batches.
    windows = {"dim": dim, "layers": layers, "heads": 4, "length": 20, "batch_size": 8, "train": train}
    return {
        "mender": Steerable("mender", said),
        "no preference": Steerable("mender", {**said, "withheld": 1.0}, asks=False),
        "mender, coarse": Steerable("mender", {**said, "coarse": True}),
        "mender, opposites": Steerable("mender", {**said, "opposites": True}),
        "mender, all, signed": Steerable("mender", {**body, **everything}, signed=True),
        "tiger": Steerable("tiger", body, asks=False),
        "sasrec": Steerable("sasrec", windows, asks=False),
        "nearest": Steerable("nearest"),
        "nearest, signed": Steerable("nearest", signed=True),
        "1.2 x no preference": Bar("no preference", times=1.2),
        "a quarter of axis 1": Bar("mender", axis=_MAIN, times=0.25),
        "axis 1": Bar("mender", axis=_MAIN),
        "nothing": Bar("mender", times=0.0),
    }


def _write_films(folder: Path, *, least: int = 5, newest: int = 20) -> None:
    """Ratings of users and films that have `least` each, until all have; then the newest of each user."""
    tables = datasets.get("movielens-latest-small")
    events, before = pl.read_parquet(tables / "events.parquet"), -1
    while len(events) != before:
        before = len(events)
        for side in ("user_id", "item_id"):
            events = events.filter(pl.len().over(side) >= least)
    events = events.sort("user_id", "at", maintain_order=True)
    events = events.filter(pl.int_range(pl.len()).over("user_id") >= pl.len().over("user_id") - newest)
    events.write_parquet(folder / "events.parquet")
    for side in ("item", "user"):
        table = pl.read_parquet(tables / f"{side}s.parquet")
        kept = events[f"{side}_id"].unique()
        table.filter(pl.col(f"{side}_id").is_in(kept.implode())).write_parquet(folder / f"{side}s.parquet")
