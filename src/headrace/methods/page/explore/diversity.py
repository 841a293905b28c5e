"""What the items above say about the next one: caps on categories, and likeness to what stands there.

Both look at candidates alone and follow from the slots above, so propensities stay exact. Categories are bags: an item has any
number of them, padded with 0. Costs O(K W) a slot for bags of W, O(K dim) for vectors.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Bool, Float32, Float64, Int32, Int64

Int16 = NDArray[np.int16]


class Likeness(Protocol):
    def to(self, rows: Int64, places: Int64) -> Float64 | Float32:
        """Cosine of each candidate with one of its request's, rows [n] and places [n] -> [n, K]; 0 for one that is nowhere."""


class VectorLikeness:
    """vectors [R, K, dim], of length 1 or 0."""

    def __init__(self, vectors: Float32):
        self.vectors = vectors

    def to(self, rows: Int64, places: Int64) -> Float32:
        vectors = self.vectors if len(rows) == len(self.vectors) else self.vectors[rows]
        alike: Float32 = (vectors @ self.vectors[rows, places][:, :, None])[:, :, 0]
        return alike


class Bags:
    """Categories of the candidates, bags [R, K, W]. A table of [R, categories] is looked up in, not a pair of bags compared."""

    def __init__(self, bags: Int32):
        self.size = int(bags.max(initial=0)) + 1
        self.flat = np.arange(len(bags))[:, None, None] * self.size + bags
        self.lengths = (bags > 0).sum(2)
        self.table = np.zeros((len(bags), self.size), np.int16)

    def add(self, rows: Int64, places: Int64, value: int = 1) -> None:
        self.table.ravel()[self.flat[rows, places]] += np.int16(value)  # no category stands in a bag twice
        self.table[:, 0] = 0

    def counts(self) -> Int16:
        """[R, K, W]: what the table says of each category of each candidate."""
        counts: Int16 = self.table.ravel()[self.flat]
        return counts


class BagLikeness(Bags):
    """|a and b| / sqrt(|a| |b|): the cosine of two sets."""

    def to(self, rows: Int64, places: Int64) -> Float64:
        self.add(rows, places)
        shared = self.counts()[rows].sum(2)
        self.add(rows, places, -1)
        alike: Float64 = shared / np.sqrt(np.maximum(self.lengths[rows] * self.lengths[rows, places][:, None], 1))
        return alike


class Caps(Bags):
    """At most `most` of any category."""

    def __init__(self, bags: Int32, most: int):
        super().__init__(bags)
        self.most = most

    def full(self) -> Bool:
        """Candidates one of whose categories has no room left, [R, K]."""
        return np.asarray((self.counts() >= self.most).any(2))


def tidy_bags(categories: Int32) -> Int32:
    """[n_items] or [n_items, W] -> [n_items, W'], each category once in a row, no wider than it need be."""
    bags = np.sort(categories.reshape(len(categories), -1), axis=1)[:, ::-1]
    again = np.zeros(bags.shape, np.bool_)
    again[:, 1:] = bags[:, 1:] == bags[:, :-1]
    bags = np.sort(np.where(again, 0, bags), axis=1)[:, ::-1]
    return np.ascontiguousarray(bags[:, : int((bags > 0).sum(1).max(initial=1))])


def unit_rows(vectors: Float32) -> Float32:
    """Each of length 1; one of length 0 stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
