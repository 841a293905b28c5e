"""What is measured: ranked lists, and the items that turned out to be right.

R requests, K slots. Items are dense int32 numbers; 0 is an empty slot. A hole inside a list keeps its rank: a page with an
empty second slot still shows its third item in third place.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float64, Int32, Int64


@dataclass(frozen=True)
class RankedLists:
    """users [R], the unit of resampling; items [R, K], best first, 0 where a slot is empty.

    sampler: how the candidates were drawn, when the lists do not rank the full catalogue. It goes into the name of every
    figure made from them, because a sampled metric can order methods differently (Krichene and Rendle, KDD 2020).
    """

    users: Int32 | Int64
    items: Int32
    sampler: str | None = None

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or self.users.shape != self.items.shape[:1]:
            raise DataError(f"lists: users are {self.users.shape} and items {self.items.shape}; expected [R] and [R, K].")
        if self.sampler is not None and not self.sampler.strip():
            raise DataError('lists: the sampler has no name. Name it ("uniform-100"), or give None for the full catalogue.')
        if self.items.size and int(self.items.min()) < 0:
            row = int(np.flatnonzero((self.items < 0).any(1))[0])
            raise DataError(f"lists: row {row} holds item {int(self.items[row].min())}; numbers start at 1, 0 is an empty slot.")
        ordered = np.sort(self.items, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > 0)
        if twice.any():
            row, place = (int(index[0]) for index in np.nonzero(twice))
            raise DataError(
                f"lists: row {row} (user {int(self.users[row])}) holds item {int(ordered[row, place])} twice, and so do "
                f"{int(twice.any(1).sum()) - 1} further rows. An item may be found once: drop the repeats before scoring."
            )

    def __len__(self) -> int:
        return len(self.items)

    @property
    def depth(self) -> int:
        return int(self.items.shape[1])


@dataclass(frozen=True)
class Relevant:
    """The right items of each request: row r is [offsets[r], offsets[r + 1]) of `items`, each item once.

    grades [items], > 0, for graded judgments. A request with no right item has no metric (NaN) and is left out of means.
    """

    offsets: Int64
    items: Int32
    grades: Float64 | None = None

    def __post_init__(self) -> None:
        if int(self.offsets[-1]) != len(self.items) or (np.diff(self.offsets) < 0).any():
            raise DataError(f"relevant: offsets end at {int(self.offsets[-1])} and there are {len(self.items)} items.")
        if len(self.items) and int(self.items.min()) < 1:
            row = int(self.rows()[np.argmin(self.items)])
            raise DataError(
                f"relevant: row {row} holds item {int(self.items.min())}, not a known one. Leave it out and count it."
            )
        if self.grades is not None and (len(self.grades) != len(self.items) or not (self.grades > 0).all()):
            raise DataError("relevant: each item needs a grade above 0; an item of grade 0 is not relevant, so leave it out.")
        keys = np.sort(_keys(self.rows(), self.items))
        if (twice := keys[1:] == keys[:-1]).any():
            row, item = divmod(int(keys[1:][twice][0]), 1 << 32)
            raise DataError(f"relevant: row {row} holds item {item} twice. Use Relevant.from_pairs, which keeps one.")

    @classmethod
    def from_pairs(cls, rows: Int32 | Int64, items: Int32, n_rows: int, grades: Float64 | None = None) -> "Relevant":
        """From (request row, item) pairs in any order; of a repeated pair the highest grade is kept."""
        keys = _keys(rows, items)
        order = np.lexsort((np.zeros(len(keys)) if grades is None else -grades, keys))
        kept = order[np.diff(keys[order], prepend=-1) != 0]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=n_rows))])
        return cls(offsets, items[kept].astype(np.int32), None if grades is None else grades[kept])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Int64:
        """How many right items each request has, [R]."""
        return np.diff(self.offsets)

    def rows(self) -> Int64:
        """The request of each right item, [items]."""
        return np.repeat(np.arange(len(self)), self.counts)

    def restricted(self, keep: Bool) -> "Relevant":
        """Only the right items that `keep` [n_items] marks. The lists stay as they were: an item slice asks how well the
        same answers find these items."""
        if len(self.items) and int(self.items.max()) >= len(keep):
            raise DataError(f"relevant: item {int(self.items.max())} is outside the {len(keep)} items of the slice.")
        kept = keep[self.items]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(self.rows()[kept], minlength=len(self)))])
        return replace(self, offsets=offsets, items=self.items[kept], grades=None if self.grades is None else self.grades[kept])


def hits(lists: RankedLists, relevant: Relevant, depth: int | None = None) -> Bool:
    """Whether the item in each slot is a right one, [R, depth]. O(R depth log items) by one sorted search of 64-bit keys."""
    found, _ = _find(lists, relevant, depth)
    return found


def gains(lists: RankedLists, relevant: Relevant, depth: int | None = None) -> Float64:
    """The grade of the item in each slot, 0 for a miss, [R, depth]."""
    if relevant.grades is None:
        raise DataError("relevant: there are no grades. A graded metric needs them; ndcg@k is the binary one.")
    found, place = _find(lists, relevant, depth)
    order = np.argsort(_keys(relevant.rows(), relevant.items))
    graded = np.append(relevant.grades[order], 0.0)
    return np.where(found, graded[np.where(found, place, len(order))], 0.0)


def _find(lists: RankedLists, relevant: Relevant, depth: int | None) -> tuple[Bool, NDArray[np.intp]]:
    if len(lists) != len(relevant):
        raise DataError(f"lists hold {len(lists)} requests and relevant {len(relevant)}; they must be the same, in one order.")
    items = lists.items[:, :depth]
    wanted = np.sort(_keys(relevant.rows(), relevant.items))
    if not len(wanted):
        return np.zeros(items.shape, np.bool_), np.zeros(items.shape, np.intp)
    keys = _keys(np.arange(len(lists))[:, None], items)
    place = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return wanted[place] == keys, place


def _keys(rows: Int32 | Int64, items: Int32) -> Int64:
    """Request and item as one number, ordered by request first."""
    return (np.asarray(rows, np.int64) << 32) | np.asarray(items, np.int64)
