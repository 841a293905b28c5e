"""Every stored vector is compared: the reference for all other indexes, and the right one up to some 100,000 vectors.

    score(q, i) = q · v_i;  ties are broken by the seeded draw of `nn.topk`, which knows nothing of an id's number

A vector's row is its id, so an upsert is an assignment and a delete a cleared row. Memory 4 dim bytes for each id up to the
largest. Cost O(ids × dim) a query, in blocks of queries; where few ids are allowed, O(allowed × dim).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.contracts.requests import Bool, Float32, Int32, Int64
from headrace.encode.index import ids_of, matrix_of, rows_of
from headrace.nn.topk import top_k

_FILE = "vectors.safetensors"
_BLOCK = 4_000_000
"""Scores held at once: 16 MB, and some three times that while the best are picked."""
_GATHER = 0.3
"""Share of the rows up to which the allowed ones are copied together: at 50,000 by 64, that beats scoring all and masking."""


class ExactIndex:
    """A `VectorIndex` without error. seed: of the draws that order equal scores."""

    def __init__(self, dim: int, *, seed: int = 0):
        self.dim, self.seed = dim, seed
        self._vectors = np.zeros((0, dim), np.float32)
        self._there = np.zeros(0, np.bool_)
        self._count = 0

    @classmethod
    def over(cls, vectors: Float32, there: Bool, *, seed: int = 0) -> "ExactIndex":
        """Of row i as id i where it is there. vectors [ids, dim] are not copied: an upsert writes into them."""
        made = cls(vectors.shape[1], seed=seed)
        made._vectors, made._there, made._count = vectors, there, int(np.count_nonzero(there))
        return made

    def __len__(self) -> int:
        return self._count

    def upsert(self, ids: Int32, vectors: Float32) -> None:
        ids, vectors = rows_of(ids, vectors, self.dim)
        self._grow(int(ids.max(initial=0)) + 1)
        self._count += int((~self._there[ids]).sum())
        self._vectors[ids], self._there[ids] = vectors, True

    def delete(self, ids: Int32) -> None:
        ids = ids_of(ids)
        gone = np.unique(ids[self.has(ids)])
        self._count -= len(gone)
        self._vectors[gone], self._there[gone] = 0, False

    def search(self, queries: Float32, k: int, allowed: Bool | None = None) -> tuple[Int32, Float32]:
        queries = matrix_of(queries, self.dim, "queries")
        found, columns, vectors = self.allowed_ids(allowed), None, self._vectors
        out = np.full(len(self._there), -np.inf, np.float32)
        out[found] = 0
        if len(found) <= _GATHER * len(vectors):
            columns, vectors, out = found, vectors[found], out[found]
        ids, scores = np.zeros((len(queries), k), np.int32), np.full((len(queries), k), np.nan, np.float32)
        step = max(_BLOCK // max(len(vectors), 1), 1)
        for start in range(0, len(queries), step):
            block = slice(start, start + step)
            best = top_k(queries[block] @ vectors.T + out, k, "product", seed=self.seed, items=columns)
            ids[block, : best.items.shape[1]], scores[block, : best.items.shape[1]] = best.items, best.scores["product"]
        return ids, scores

    def save(self, folder: Path) -> None:
        ids = self.ids()
        save_arrays(folder / _FILE, {"ids": ids, "vectors": self._vectors[ids], "seed": np.array(self.seed)})

    @classmethod
    def load(cls, folder: Path) -> "ExactIndex":
        arrays = load_arrays(folder / _FILE)
        made = cls(arrays["vectors"].shape[1], seed=int(arrays["seed"]))
        made.upsert(arrays["ids"], arrays["vectors"])
        return made

    def stats(self) -> Mapping[str, Any]:
        return {"kind": "exact", "vectors": len(self), "dim": self.dim, "bytes": self._vectors.nbytes + self._there.nbytes}

    def ids(self) -> Int32:
        """All that can be found, ascending."""
        return np.flatnonzero(self._there).astype(np.int32)

    def vectors(self, ids: Int32) -> Float32:
        """[n, dim] of ids that are there."""
        return self._vectors[ids]

    def has(self, ids: Int32) -> Bool:
        held = ids < len(self._there)
        held[held] = self._there[ids[held]]
        return held

    def allowed_ids(self, allowed: Bool | None) -> Int64:
        """Ascending ids that are there and allowed."""
        return np.flatnonzero(self.may(allowed))

    def may(self, allowed: Bool | None) -> Bool:
        """[ids]: who is there and allowed. Not to be written to."""
        if allowed is None:
            return self._there
        size = min(len(allowed), len(self._there))
        found = self._there.copy()
        found[:size] &= allowed[:size]
        found[size:] = False
        return found

    def _grow(self, size: int) -> None:
        if size > len(self._there):
            # a quarter at a time at least, so that growing is cheap overall
            more = max(size, len(self._there) * 5 // 4) - len(self._there)
            self._vectors = np.concatenate([self._vectors, np.zeros((more, self.dim), np.float32)])
            self._there = np.concatenate([self._there, np.zeros(more, np.bool_)])
