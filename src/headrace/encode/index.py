"""The port of vector indexes: which stored vectors have the largest inner product with a query's (for unit vectors, the cosine).

Ids are the vocabulary's dense numbers (int32, from 1; 0 is none), so an index may keep one place for each up to the largest.
`exact` is the reference and the default; where a pass over every vector takes too long, `codes` passes over an eighth of their
bytes, and `hnsw` walks a graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float32, Int32


@runtime_checkable
class VectorIndex(Protocol):
    """R queries, k neighbours. Answers do not depend on the other queries of a call."""

    dim: int

    def __len__(self) -> int:
        """Ids that can be found."""

    def upsert(self, ids: Int32, vectors: Float32) -> None:
        """ids [n], each once; vectors [n, dim] are copied. An id that is there gets the new vector."""

    def delete(self, ids: Int32) -> None:
        """They are not found again, nor is their vector in a later `save`. Ids that are not there are passed over."""

    def search(self, queries: Float32, k: int, allowed: Bool | None = None) -> tuple[Int32, Float32]:
        """queries [R, dim] -> ids [R, k] and inner products [R, k], best first; 0 and NaN where there are fewer.

        allowed [ids]: whether each id may be found; one beyond its end may not.
        """

    def save(self, folder: Path) -> None:
        """Into a folder that is there and empty: an artifact's draft, which is placed whole."""

    @classmethod
    def load(cls, folder: Path) -> VectorIndex: ...

    def stats(self) -> Mapping[str, Any]:
        """What operators watch: vectors, bytes, and what the kind of index adds."""


def rows_of(ids: Int32, vectors: Float32, dim: int) -> tuple[Int32, Float32]:
    """What may be stored, as int32 and float32; DataError says which row may not."""
    ids, vectors = ids_of(ids), matrix_of(vectors, dim, "vectors")
    if len(ids) != len(vectors):
        raise DataError(f"upsert: {len(ids)} ids and {len(vectors)} vectors. Give one vector an id.")
    if len(np.unique(ids)) != len(ids):
        raise DataError(f"upsert: {len(ids) - len(np.unique(ids))} ids stand twice, so it is not said which vector holds.")
    return ids, vectors


def ids_of(ids: Int32) -> Int32:
    found = np.asarray(ids)
    whole = found.ndim == 1 and (found.dtype.kind in "iu" or not len(found))
    if not whole or (len(found) and not 1 <= int(found.min()) <= int(found.max()) < 2**31):
        raise DataError(f"ids are {found.dtype} {found.shape}, expected int32 [n] from 1: the numbers of a Vocabulary.")
    return found.astype(np.int32)


def matrix_of(vectors: Float32, dim: int, what: str) -> Float32:
    found = np.ascontiguousarray(vectors, np.float32)
    if found.ndim != 2 or found.shape[1] != dim:
        raise DataError(f"{what} have shape {found.shape}, expected [n, {dim}].")
    wrong = ~np.isfinite(found).all(1)
    if wrong.any():
        raise DataError(f"{what}: {int(wrong.sum())} of {len(found)} hold NaN or infinity, first row {int(wrong.argmax())}.")
    return found
