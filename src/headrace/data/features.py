"""Columns of the items and users tables as small integers, fitted once and used unchanged offline and online.

A text or boolean column becomes a category (0 unknown, rare ones unknown too), a number becomes one of 16 equal-mass bins,
a list becomes a padded bag. Fitted on rows valid before the cut alone, so nothing of the future is in a vocabulary or a bin.
Two of them can be crossed (`crosses`), and events counted over trailing days (`counts`). Names say what a feature is of:
"user.…" comes with a request, "item.…" with the catalogue, "pair.…" with a candidate of a request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from annotated_types import Gt
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float32, Int32, Int64
from headrace.data.clocks import Clock, clock_of
from headrace.data.counts import SIZE, Counting
from headrace.data.crosses import check_crosses, crossed, name_of, side_of, size_of
from headrace.data.foundation import USER, Foundation
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


@config
class FeaturesConfig:
    """[features] of the TOML. crosses: pairs of categorical features, as [["user.city", "item.colour"]].

    count_days: trailing windows over which a user's and an item's events are counted. item_vectors: what turns items' titles,
    texts and categories into vectors that models and the page read; None: they are not read.
    """

    crosses: tuple[tuple[str, str], ...] = ()
    count_days: tuple[Annotated[int, Gt(0)], ...] = ()
    item_vectors: Literal["minilm", "tfidf"] | None = None


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
    """sizes: feature name -> number of codes, 0 included. Names say the side: "item.categories", "user.age".

    counts: the times that trailing counts look at, given by `bound` and no part of the arrays. item_vectors: [n_items, dim], made
    outside (an encoder's, of titles) and carried by item number. foundation: what an upstream model knows, given by
    `with_foundation` and no part of the arrays either.
    """

    items: Timeline
    users: Timeline
    sizes: Mapping[str, int]
    settings: FeaturesConfig = field(default_factory=FeaturesConfig)
    counts: Counting | None = None
    item_vectors: Float32 | None = None
    foundation: Foundation | None = None

    @classmethod
    def fit(
        cls, tables: Path, users: Vocabulary, items: Vocabulary, cut_us: int, settings: FeaturesConfig | None = None,
        *, without: Bool | None = None, clock: Clock | None = None,
    ) -> "Features":  # fmt: skip
        """Vocabularies and bins from rows valid before the cut; later rows are coded with them.

        without [users]: whose rows are coded too, but not fitted on. clock: of the cut; the tables' own if None. On an ordinal
        one an item's or user's first row holds always: no later one can be held against a row's number.
        """
        ordinal = (clock or clock_of(tables)) == "ordinal"
        of_items, item_sizes = _timeline(tables / "items.parquet", "item", items, cut_us, ordinal)
        of_users, user_sizes = _timeline(tables / "users.parquet", "user", users, cut_us, ordinal, without)
        sizes = {**item_sizes, **user_sizes}
        settings = settings or FeaturesConfig()
        bags = [name for timeline in (of_items, of_users) for name, codes in timeline.codes.items() if codes.ndim > 1]
        check_crosses(settings.crosses, sizes, bags)
        more = {name_of(cross): size_of(cross, sizes) for cross in settings.crosses}
        more |= {f"{side}.count_{days}d": SIZE for days in settings.count_days for side in ("user", "pair.item")}
        return cls(of_items, of_users, sizes | more, settings)

    def bound(self, counts: Counting) -> "Features":
        """With the events that trailing counts look at: the log's offline, the live state's online."""
        return replace(self, counts=counts)

    def with_item_vectors(self, vectors: Float32) -> "Features":
        """vectors [n_items, dim], row 0 for the unknown item."""
        n_items = len(self.items.offsets) - 1
        if vectors.ndim != 2 or len(vectors) != n_items or not np.isfinite(vectors).all():
            raise DataError(
                f"item vectors are {vectors.shape}, expected ({n_items}, dim) and finite: one row an item number, row 0 for none."
            )
        return replace(self, item_vectors=vectors.astype(np.float32, copy=False))

    def with_foundation(self, foundation: Foundation) -> "Features":
        """Requests then carry `foundation.USER`."""
        return replace(self, foundation=foundation)

    def items_at(self, at_us: int) -> dict[str, Int32]:
        """The catalogue as it stood: name -> [n_items, ...]."""
        entities = np.arange(len(self.items.offsets) - 1, dtype=np.int32)
        return self._with_crosses(self.items.at(entities, np.full(len(entities), at_us)), "item")

    def users_at(self, users: Int32, at_us: Int64) -> dict[str, NDArray[Any]]:
        """What requests carry about their users: name -> [R, ...]. A user out of range is unknown."""
        found: dict[str, NDArray[Any]] = self._with_crosses(
            self.users.at(np.where(users < len(self.users.offsets) - 1, users, 0), at_us), "user"
        )
        for days in self.settings.count_days:
            found[f"user.count_{days}d"] = self._counts().of_users(users, at_us, days)
        if self.foundation is not None:
            found[USER] = self.foundation.users_at(users, at_us)
        return found

    def pairs_at(self, users: Int32, items: Int32, at_us: Int64) -> dict[str, Int32]:
        """What a candidate of a request has beyond both sides' own: name -> [R, C] for items [R, C], as of at_us [R]."""
        found: dict[str, Int32] = {}
        for days in self.settings.count_days:
            found[f"pair.item.count_{days}d"] = self._counts().of_items(items, at_us, days)
        mixed = [cross for cross in self.settings.crosses if side_of(cross) == "pair"]
        if mixed:
            known = np.where(items < len(self.items.offsets) - 1, items, 0).ravel()
            of_items = self.items.at(known, np.repeat(at_us, items.shape[1]))
            of_users = self.users.at(np.where(users < len(self.users.offsets) - 1, users, 0), at_us)
            codes = {name: values[:, None] for name, values in of_users.items()}
            codes |= {name: values.reshape(items.shape) for name, values in of_items.items() if values.ndim == 1}
            found |= {name_of(cross): crossed(codes[cross[0]], codes[cross[1]], cross, self.sizes) for cross in mixed}
        return found

    def _with_crosses(self, found: dict[str, Int32], side: str) -> dict[str, Int32]:
        mine = [cross for cross in self.settings.crosses if side_of(cross) == side]
        return found | {name_of(cross): crossed(found[cross[0]], found[cross[1]], cross, self.sizes) for cross in mine}

    def _counts(self) -> Counting:
        if self.counts is None:
            raise DataError("features: count_days needs events to count. Bind them first: log.bind(features).")
        return self.counts

    def arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {f"size.{name}": np.array([size]) for name, size in self.sizes.items()}
        for side, timeline in (("items", self.items), ("users", self.users)):
            arrays |= {f"{side}.offsets": timeline.offsets, f"{side}.valid_from_us": timeline.valid_from_us}
            arrays |= {f"{side}.codes.{name}": codes for name, codes in timeline.codes.items()}
        arrays |= {f"cross.{place}.{'|'.join(cross)}": np.zeros(1) for place, cross in enumerate(self.settings.crosses)}
        arrays["count_days"] = np.array(self.settings.count_days, np.int64)
        if self.item_vectors is not None:
            arrays["item_vectors"] = self.item_vectors
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Features":
        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}

        items, users = (
            Timeline(arrays[f"{side}.offsets"], arrays[f"{side}.valid_from_us"], part(f"{side}.codes."))
            for side in ("items", "users")
        )
        crosses = sorted((int(place), names) for place, _, names in (name.partition(".") for name in part("cross.")))
        settings = FeaturesConfig(
            crosses=tuple((first, second) for first, _, second in (names.partition("|") for _, names in crosses)),
            count_days=tuple(arrays["count_days"].tolist()) if "count_days" in arrays else (),
        )
        sizes = {name: int(size[0]) for name, size in part("size.").items()}
        return cls(items, users, sizes, settings, item_vectors=arrays.get("item_vectors"))


def _timeline(
    path: Path, side: str, vocabulary: Vocabulary, cut_us: int, ordinal: bool, without: Bool | None = None
) -> tuple[Timeline, dict[str, int]]:
    since = pl.col("valid_from").dt.timestamp("us").fill_null(0)
    table = pl.read_parquet(path).with_columns(valid_from=since)
    table = table.with_columns(number=vocabulary.encode(table[f"{side}_id"])).sort("number", "valid_from")
    if ordinal:
        table = table.unique("number", keep="first", maintain_order=True).with_columns(valid_from=pl.lit(0, pl.Int64))
    before = table["valid_from"] < cut_us
    if without is not None:
        before &= pl.Series(~without[table["number"].to_numpy()])
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
