"""Four bits a number: all vectors are read as codes of an eighth of their size, and the best few by these are compared exactly.

    x = v R                                     R: a random rotation, after which each coordinate is about Gaussian
    c_j = the nearest of 16 levels              mean_j + std_j · (Max's levels of a Gaussian)
    guess(q, i) = Σ_j level[c_ij] · (q R)_j     16 products a coordinate, looked up in registers, many vectors at once
    score(q, i) = q · v_i                       of the `rescored` k best by guess, from which the k best are taken

Levels are known beforehand (Max's table), so nothing is trained and any number of vectors makes good codes. Whoever is found has
its exact score; missed is who falls behind `rescored` k others by guess.
Memory dim / 2 bytes a vector, each process its own, beside the vectors, which may be mapped and shared. Cost O(n dim / 2) bytes
read and O(rescored k dim) a query; build O(n dim²). Measured on 94,907 vectors: docs/serving_speed.md, "A large catalogue".

Filters: with a share s allowed, `rescored` k / s are looked at, and those not allowed are dropped before they are compared. Where
that is more than `most` of all, and where what is left falls short of k, every allowed one is compared (`exact`).
Rows lie in the order of the seeded draw of `nn.topk`, so which of many equal codes are looked at does not hang on their numbers.
A change makes the codes anew at the next search. So it loses to `hnsw` where vectors change by the hour, and above some millions
of them, for it reads all; to `exact` where `rescored` k is not far below their number.
Papers: Max, IRE Transactions on Information Theory 1960, table I (levels); André et al., Quicker ADC, TPAMI 2019 (4-bit codes
looked up in registers); the scan itself is faiss's (Douze et al., 2024). The rotation is our choice, measured beside none.
"""

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.contracts.config import as_dict, config
from headrace.contracts.requests import Bool, Float32, Int32
from headrace.contracts.rng import rng
from headrace.encode.exact import ExactIndex
from headrace.encode.index import ids_of, matrix_of
from headrace.encode.optional import optional
from headrace.nn.topk import draws, top_k

_FILE = "codes.safetensors"
_HALF = np.array([0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0691, 2.7326], np.float32)
_LEVELS = np.concatenate([-_HALF[::-1], _HALF])
_BLOCK = 65_536
"""Vectors turned at once, for bounded memory."""


@config
class CodesConfig:
    """rescored: times k that are compared exactly. most: share of all that may be looked at before `exact` is the better way."""

    rescored: Annotated[int, Gt(0)] = 6
    most: Annotated[float, Ge(0)] = 0.0625


class CodesIndex:
    """A `VectorIndex` that may miss a neighbour."""

    def __init__(self, dim: int, config: CodesConfig | None = None, *, seed: int = 0):
        self._faiss = optional("faiss", package="faiss-cpu", extra="faiss", purpose='index = "codes"')
        self.dim, self.config, self.seed = dim, config or CodesConfig(), seed
        self._exact = ExactIndex(dim, seed=seed)
        self._scan: Any = None
        self._ids, self._rotation = np.zeros(0, np.int32), np.zeros((dim, dim), np.float32)

    @classmethod
    def over(
        cls, vectors: Float32, there: Bool, config: CodesConfig, *, seed: int = 0, coded: Mapping[str, NDArray[Any]] | None = None
    ) -> "CodesIndex":
        """Of row i as id i where it is there. vectors [ids, dim] stay where they are, mapped or not. coded: `arrays` of such an
        index; None: the codes are made."""
        made = cls(vectors.shape[1], config, seed=seed)
        made._exact = ExactIndex.over(vectors, there, seed=seed)
        if coded is None:
            made._code()
        else:
            made._ids, made._rotation = coded["ids"], coded["rotation"]
            made._scan = made._faiss.deserialize_index(coded["scan"])
        return made

    def __len__(self) -> int:
        return len(self._exact)

    def upsert(self, ids: Int32, vectors: Float32) -> None:
        self._exact.upsert(ids, vectors)
        self._scan = None

    def delete(self, ids: Int32) -> None:
        ids = ids_of(ids)
        if self._exact.has(ids).any():
            self._exact.delete(ids)
            self._scan = None

    def search(self, queries: Float32, k: int, allowed: Bool | None = None) -> tuple[Int32, Float32]:
        queries = matrix_of(queries, self.dim, "queries")
        may = self._exact.may(allowed)
        count = int(np.count_nonzero(may))
        looked_at = ceil(self.config.rescored * k * len(self) / max(count, 1))
        if not count or looked_at > self.config.most * len(self):
            return self._exact.search(queries, k, allowed)
        if self._scan is None:
            self._code()
        ids, scores = np.zeros((len(queries), k), np.int32), np.full((len(queries), k), np.nan, np.float32)
        for row, query in enumerate(queries):  # one by one, so that no answer hangs on how a product of several is split
            near = self._near(query, min(looked_at, len(self)))
            near = near[may[near]]
            if len(near) < min(k, count):
                ids[row : row + 1], scores[row : row + 1] = self._exact.search(query[None], k, allowed)
                continue
            best = top_k((self._exact.vectors(near) @ query)[None], k, "product", seed=self.seed, items=near)
            ids[row, : best.items.shape[1]], scores[row, : best.items.shape[1]] = best.items[0], best.scores["product"][0]
        return ids, scores

    def save(self, folder: Path) -> None:
        self._exact.save(folder)
        settings = {name: np.array(value) for name, value in as_dict(self.config).items()}
        save_arrays(folder / _FILE, {**self.arrays(), **settings})

    @classmethod
    def load(cls, folder: Path) -> "CodesIndex":
        stored, exact = load_arrays(folder / _FILE), ExactIndex.load(folder)
        settings = CodesConfig(rescored=stored["rescored"].item(), most=stored["most"].item())
        ids = exact.ids()
        there = exact.has(np.arange(int(ids.max(initial=0)) + 1, dtype=np.int32))
        return cls.over(exact.vectors(np.arange(len(there), dtype=np.int32)), there, settings, seed=exact.seed, coded=stored)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """What `over` opens beside the same vectors: the codes' ids, the rotation, and levels and codes as faiss writes them."""
        if self._scan is None:
            self._code()
        return {"ids": self._ids, "rotation": self._rotation, "scan": self._faiss.serialize_index(self._scan)}

    def stats(self) -> Mapping[str, Any]:
        stored = self._exact.stats()
        codes = len(self._ids) * (self.dim / 2 + 4) + self._rotation.nbytes
        return {**stored, "kind": "codes", "bytes": stored["bytes"] + int(codes)}

    def _near(self, query: Float32, n: int) -> Int32:
        """Ids of the n best by guess."""
        rows = self._scan.search((query @ self._rotation)[None], n)[1][0]
        found: Int32 = self._ids[rows[rows >= 0]]
        return found

    def _code(self) -> None:
        ids = self._exact.ids()
        self._ids = ids[np.argsort(draws(ids, self.seed), kind="stable")[::-1]]
        self._rotation = _rotation(self.dim, self.seed)
        self._scan = self._faiss.IndexPQFastScan(self.dim, self.dim, 4, self._faiss.METRIC_INNER_PRODUCT)
        threads = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)
        try:
            for start in range(0, len(ids), _BLOCK):
                turned = self._exact.vectors(self._ids[start : start + _BLOCK]) @ self._rotation
                if not start:  # rows stand in a drawn order, so the first of them are a sample of all
                    levels = turned.mean(0)[:, None] + turned.std(0)[:, None] * _LEVELS
                    self._faiss.copy_array_to_vector(levels.ravel(), self._scan.pq.centroids)
                    self._scan.is_trained = True
                self._scan.add(turned)
        finally:
            self._faiss.omp_set_num_threads(threads)


def _rotation(dim: int, seed: int) -> Float32:
    """[dim, dim], drawn evenly from all rotations and reflections."""
    q, r = np.linalg.qr(rng(seed, "rotation").normal(size=(dim, dim)))
    return np.asarray(q * np.sign(np.diag(r)), np.float32)
