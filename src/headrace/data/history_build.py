"""The history store of a log, worked out a part at a time and written in place: no more than one part is in memory.

Two passes over the parts: one counts each user's events, so that every user's place in the store is known; the other sorts
each part and writes it there. Cost O(events log part); with a folder the arrays are memory-mapped files, else plain arrays.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.kinds import Kind
from headrace.contracts.requests import History, Int32, Int64
from headrace.contracts.rng import mix, seed_of
from headrace.data.event_parts import part_paths
from headrace.data.histories import RECEIVED, HistoryStore, Received
from headrace.data.vocabulary import Vocabulary


def build_histories(
    tables: Path, users: Vocabulary, items: Vocabulary, kinds: Mapping[str, Kind], seed: int,
    folder: Path | None = None, *, file_order: bool = False,
) -> HistoryStore:  # fmt: skip
    """Positive events as CSR. folder: an existing one, where offsets, items and at_us are written as .npy and opened again; where
    an event was received after it happened, known_us and settled_us too.

    The order inside a step must be no signal, so it is drawn, not taken from the file; each event has its own draw, so what comes
    later in the log changes nothing before it. file_order: ties in the order of the tables instead, for comparison with
    published protocols.
    """
    positive = _positive(kinds)
    counts = np.zeros(len(users), np.int64)
    for part in _parts(tables, ["user_id"], positive):
        found = part.group_by("user_id").len()
        counts[users.encode(found["user_id"])] += found["len"].to_numpy()
    offsets: Int64 = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    store_items: Int32 = _array(folder, "items", int(offsets[-1]), np.int32)
    store_at_us: Int64 = _array(folder, "at_us", int(offsets[-1]), np.int64)
    late = _any_late(tables)
    received = Received(*(_array(folder, name, int(offsets[-1]), np.int64) for name in RECEIVED)) if late else None
    for part in _parts(tables, ["user_id", "item_id", "at", *(["received_at"] if late else [])], positive):
        who, what = _encoded(users, part["user_id"]), items.encode(part["item_id"])
        at_us = part["at"].dt.timestamp("us").to_numpy()
        draws = np.arange(len(who)) if file_order else _draws(seed, who, what, at_us)
        keys = pl.DataFrame({"who": who, "at_us": at_us, "draw": draws})
        order = keys.select(pl.arg_sort_by("who", "at_us", "draw", maintain_order=True)).to_series().to_numpy()
        who = who[order]
        _, first, sizes = np.unique(who, return_index=True, return_counts=True)
        place = offsets[who] + np.arange(len(who)) - np.repeat(first, sizes)  # a user's events all stand in one part
        store_items[place], store_at_us[place] = what[order], at_us[order]
        if received is not None:
            known = part.select(known=pl.max_horizontal("at", "received_at").dt.timestamp("us"))[order].with_columns(who=who)
            received.known_us[place] = known["known"].to_numpy()
            received.settled_us[place] = known.select(pl.col("known").cum_max().over("who")).to_series().to_numpy()
    if folder is None:
        return HistoryStore(History(offsets, store_items, store_at_us), received=received)
    for array in (store_items, store_at_us, *(vars(received).values() if received else ())):
        if isinstance(array, np.memmap):
            array.flush()
    np.save(folder / "offsets.npy", offsets)
    return HistoryStore.load(folder)


def _positive(kinds: Mapping[str, Kind]) -> list[str] | None:
    """The kinds to learn from; None for all, where none is declared."""
    positive = [name for name, kind in kinds.items() if kind.polarity == "positive"]
    if kinds and not positive:
        raise DataError(
            f"kinds: none of {', '.join(kinds)} is positive, so there is nothing to recommend from. "
            'Set polarity = "positive" on one of them.'
        )
    return positive or None


def _parts(tables: Path, columns: list[str], positive: list[str] | None) -> Iterator[pl.DataFrame]:
    for path in part_paths(tables):
        rows = pl.scan_parquet(path, glob=False)
        if positive is not None:
            rows = rows.filter(pl.col("kind").is_in(positive))
        yield rows.select(columns).collect()


def _any_late(tables: Path) -> bool:
    """Whether an event was received after it happened. A log that does not say when is not read for it."""
    for path in part_paths(tables):
        rows = pl.scan_parquet(path, glob=False)
        if "received_at" not in rows.collect_schema() or not _is_true(rows, pl.col("received_at").is_not_null().any()):
            continue
        if _is_true(rows, (pl.col("received_at") > pl.col("at")).any()):
            return True
    return False


def _is_true(rows: pl.LazyFrame, what: pl.Expr) -> bool:
    return bool(rows.select(what).collect().item())


def _encoded(users: Vocabulary, ids: pl.Series) -> Int32:
    """Each distinct user is looked up once."""
    distinct = ids.unique(maintain_order=True)
    numbers: Int32 = users.encode(distinct)[ids.cast(pl.Enum(distinct)).to_physical().to_numpy()]
    return numbers


def _draws(seed: int, *parts: NDArray[Any]) -> NDArray[np.uint64]:
    draws = np.full(len(parts[0]), seed_of(seed, "order inside a step"), np.uint64)
    for part in parts:
        draws = mix(draws, part.astype(np.uint64))
    return draws


def _array(folder: Path | None, name: str, size: int, dtype: type[np.generic]) -> NDArray[Any]:
    if folder is None or not size:  # a file of no bytes can't be mapped
        made: NDArray[Any] = np.zeros(size, dtype)
        if folder is not None:
            np.save(folder / f"{name}.npy", made)
        return made
    return np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=(size,))
