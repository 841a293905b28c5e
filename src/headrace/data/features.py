"""Columns of the items and users tables as small integers, fitted once and used unchanged offline and online.

A text or boolean column becomes a category (0 unknown, rare ones unknown too), a number becomes one of 16 equal-mass bins,
a list becomes a padded bag. Fitted on rows valid before the cut alone, so nothing of the future is in a vocabulary or a bin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.requests import Int32, Int64
from headrace.data.histories import bisect
from headrace.data.vocabulary import Vocabulary

BINS = 16
MOST_CATEGORIES = 10_000
BAG_WIDTH = 8
_NOT_FEATURES = {
    "title",
    "text",
    "image",
    "available",
    "valid_from",
    "item_id",
    "user_id",
    "consent_train",
    "consent_personalise",
}


@dataclass(frozen=True)
class Timeline:
    """What held when: entity e's rows are [offsets[e], offsets[e + 1]), valid from `valid_from_us` until the next one.

    codes: name -> [rows] or [rows, BAG_WIDTH].
    """

    offsets: Int64
    valid_from_us: Int64
    codes: Mapping[str, Int32]

    def at(self, entities: Int32, at_us: Int64) -> dict[str, Int32]:
        """The codes of the last row valid at each moment, 0 where there is none yet."""
        start, stop = self.offsets[entities], self.offsets[entities + 1]
        place = bisect(self.valid_from_us, start, stop, at_us + 1) - 1
        there = place >= start
        found = {name: np.zeros((len(entities), *codes.shape[1:]), np.int32) for name, codes in self.codes.items()}
        for name, codes in self.codes.items():
            found[name][there] = codes[place[there]]
        return found


@dataclass(frozen=True)
class Features:
    """sizes: feature name -> number of codes, 0 included. Names say the side: "item.categories", "user.age"."""

    items: Timeline
    users: Timeline
    sizes: Mapping[str, int]

    @classmethod
    def fit(cls, tables: Path, users: Vocabulary, items: Vocabulary, cut_us: int) -> "Features":
        """Vocabularies and bins from rows valid before the cut; later rows are coded with them."""
        of_items, item_sizes = _timeline(tables / "items.parquet", "item", items, cut_us)
        of_users, user_sizes = _timeline(tables / "users.parquet", "user", users, cut_us)
        return cls(of_items, of_users, {**item_sizes, **user_sizes})

    def items_at(self, at_us: int) -> dict[str, Int32]:
        """The catalogue as it stood: name -> [n_items, ...]."""
        entities = np.arange(len(self.items.offsets) - 1, dtype=np.int32)
        return self.items.at(entities, np.full(len(entities), at_us))

    def users_at(self, users: Int32, at_us: Int64) -> dict[str, Int32]:
        """What requests carry about their users: name -> [R, ...]. A user out of range is unknown."""
        return self.users.at(np.where(users < len(self.users.offsets) - 1, users, 0), at_us)

    def arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {f"size.{name}": np.array([size]) for name, size in self.sizes.items()}
        for side, timeline in (("items", self.items), ("users", self.users)):
            arrays |= {f"{side}.offsets": timeline.offsets, f"{side}.valid_from_us": timeline.valid_from_us}
            arrays |= {f"{side}.codes.{name}": codes for name, codes in timeline.codes.items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Features":
        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}

        items, users = (
            Timeline(arrays[f"{side}.offsets"], arrays[f"{side}.valid_from_us"], part(f"{side}.codes."))
            for side in ("items", "users")
        )
        return cls(items, users, {name: int(size[0]) for name, size in part("size.").items()})


def _timeline(path: Path, side: str, vocabulary: Vocabulary, cut_us: int) -> tuple[Timeline, dict[str, int]]:
    table = pl.read_parquet(path).with_columns(pl.col("valid_from").dt.timestamp("us").fill_null(0))
    table = table.with_columns(number=vocabulary.encode(table[f"{side}_id"])).sort("number", "valid_from")
    before = table["valid_from"] < cut_us
    codes, sizes = {}, {}
    for column in table.drop("number").get_columns():
        fitted_on = column.filter(before).drop_nulls()
        if column.name in _NOT_FEATURES or not len(fitted_on):
            continue
        encode = _bag if isinstance(column.dtype, pl.List) else _bins if column.dtype.is_numeric() else _codes
        name = f"{side}.{column.name}"
        codes[name] = encode(column, fitted_on)
        sizes[name] = int(codes[name].max(initial=0)) + 1
    offsets = np.concatenate([[0], np.cumsum(np.bincount(table["number"].to_numpy(), minlength=len(vocabulary)))])
    return Timeline(offsets, table["valid_from"].to_numpy(), codes), sizes


def _codes(column: pl.Series, fitted_on: pl.Series) -> Int32:
    """Most frequent first; what falls beyond MOST_CATEGORIES is unknown."""
    counts = fitted_on.cast(pl.String).alias("value").value_counts(sort=False).sort(["count", "value"], descending=[True, False])
    return Vocabulary(counts["value"].head(MOST_CATEGORIES)).encode(column.cast(pl.String))


def _bins(column: pl.Series, fitted_on: pl.Series) -> Int32:
    values = column.cast(pl.Float64).fill_nan(None)
    known = fitted_on.cast(pl.Float64).drop_nans().to_numpy()
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    place = 1 + np.searchsorted(edges, values.fill_null(0.0).to_numpy(), side="right")
    return np.where(values.is_not_null().to_numpy(), place, 0).astype(np.int32)


def _bag(column: pl.Series, fitted_on: pl.Series) -> Int32:
    """[rows, BAG_WIDTH], padded with 0."""
    long = pl.DataFrame({"row": np.arange(len(column)), "value": column.cast(pl.List(pl.String))}).explode("value").drop_nulls()
    made = np.zeros((len(column), BAG_WIDTH), np.int32)
    if len(long):
        place = long.select(pl.int_range(pl.len()).over("row")).to_series().to_numpy()
        fits = place < BAG_WIDTH
        words = fitted_on.cast(pl.List(pl.String)).explode().drop_nulls()
        made[long["row"].to_numpy()[fits], place[fits]] = _codes(long["value"], words)[fits]
    return made
