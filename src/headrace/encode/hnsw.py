"""A graph of neighbours, walked from far to near: most of the nearest vectors, for a hundredth of the comparisons.

Each vector keeps links to `m` near ones (2 m on the ground layer); a search walks greedily down the layers and then keeps the
`ef_search` best it has met. Memory 8 dim + 8 m bytes a vector: faiss holds one copy, `exact` the other, from which answers come
where the graph would be the slower way. Cost O(ef_search × m × dim × log n) a query; build O(n ef_construction m dim).

Filters. The walk must meet ef_search *allowed* vectors, so with a share s allowed it is widened to ef_search / s; comparing all
n s of them is cheaper once  n s² < exact_below × ef_search.  Measured at dim 64 and ef_search 64, one query at a time: the two
cross at s = 0.20 of 50,000 vectors and between 0.05 and 0.10 of 200,000; exact_below = 20 lies at 0.16 and 0.08. In batches exact
leads for longer.
A walk that is not widened finds all of the 10 nearest at s = 0.25, but .96 of them at 0.10 and .74 at 0.05.
Deleted and replaced vectors stay in the graph as stepping stones, never as answers; it is built anew when they are a quarter of
it, and before it is saved. One thread builds, so that the same upserts make the same graph.
It loses to `exact` below some 10,000 vectors, and on vectors of unequal length, where the nearest by inner product are few hubs.
Paper: Malkov and Yashunin, TPAMI 2020, algorithms 1 to 5; the graph itself is faiss's (Douze et al., 2024).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.contracts.config import as_dict, config
from headrace.contracts.requests import Bool, Float32, Int32
from headrace.encode.exact import ExactIndex
from headrace.encode.index import ids_of, matrix_of, rows_of
from headrace.encode.optional import optional
from headrace.nn.topk import top_k

_GRAPH, _ROWS = "graph.faiss", "rows.safetensors"
_DEAD = 0.25


@config
class HNSWConfig:
    """exact_below: how many times ef_search the n s² of a search must be for the graph to answer; 0 for always."""

    m: Annotated[int, Gt(1)] = 16
    ef_construction: Annotated[int, Gt(0)] = 100
    ef_search: Annotated[int, Gt(0)] = 64
    exact_below: Annotated[float, Ge(0)] = 20.0


class HNSWIndex:
    """A `VectorIndex` that may miss a neighbour."""

    def __init__(self, dim: int, config: HNSWConfig | None = None, *, seed: int = 0):
        self._faiss = optional("faiss", package="faiss-cpu", extra="faiss", purpose="An HNSW index")
        self.dim, self.config = dim, config or HNSWConfig()
        self._exact = ExactIndex(dim, seed=seed)
        self._clear()

    def __len__(self) -> int:
        return len(self._exact)

    def upsert(self, ids: Int32, vectors: Float32) -> None:
        ids, vectors = rows_of(ids, vectors, self.dim)
        self._live[self._row[ids[self._exact.has(ids)]]] = False
        self._exact.upsert(ids, vectors)
        self._add(ids, vectors)
        self._mend()

    def delete(self, ids: Int32) -> None:
        ids = ids_of(ids)
        self._live[self._row[ids[self._exact.has(ids)]]] = False
        self._exact.delete(ids)
        self._mend()

    def search(self, queries: Float32, k: int, allowed: Bool | None = None) -> tuple[Int32, Float32]:
        queries = matrix_of(queries, self.dim, "queries")
        ids = self._exact.allowed_ids(allowed)
        share = len(ids) / max(len(self._live), 1)
        if not len(ids) or len(ids) * share < self.config.exact_below * self.config.ef_search:
            return self._exact.search(queries, k, allowed)
        if len(ids) == len(self._live):
            walk = self._faiss.SearchParametersHNSW(efSearch=max(self.config.ef_search, k))
        else:
            may = np.zeros(len(self._live), np.bool_)
            may[self._row[ids]] = True
            chosen = self._faiss.IDSelectorBitmap(np.packbits(may, bitorder="little"))
            walk = self._faiss.SearchParametersHNSW(sel=chosen, efSearch=int(max(self.config.ef_search, k) / share))
        scores, rows = self._graph.search(queries, k, params=walk)
        met = rows >= 0
        met_ids = np.where(met, self._ids[rows], 0)
        best = top_k(np.where(met, scores, -np.inf), k, "product", seed=self._exact.seed, items=met_ids)
        return best.items, best.scores["product"]

    def save(self, folder: Path) -> None:
        if not self._live.all():
            self._rebuild()
        self._exact.save(folder)
        settings = {name: np.array(value) for name, value in as_dict(self.config).items()}
        save_arrays(folder / _ROWS, {"ids": self._ids, **settings})
        self._faiss.write_index(self._graph, str(folder / _GRAPH))

    @classmethod
    def load(cls, folder: Path) -> "HNSWIndex":
        rows, exact = load_arrays(folder / _ROWS), ExactIndex.load(folder)
        ids = rows.pop("ids")
        made = cls(exact.dim, HNSWConfig(**{name: value.item() for name, value in rows.items()}))
        made._exact = exact
        made._graph = made._faiss.read_index(str(folder / _GRAPH))
        made._name(ids)
        return made

    def stats(self) -> Mapping[str, Any]:
        """dead: vectors of the graph that are only walked through."""
        rows, stored = len(self._live), self._exact.stats()
        size = stored["bytes"] + rows * (4 * self.dim + 8 * self.config.m + 13)
        return {**stored, "kind": "hnsw", "bytes": size, "dead": rows - len(self)}

    def _clear(self) -> None:
        self._graph = self._faiss.IndexHNSWFlat(self.dim, self.config.m, self._faiss.METRIC_INNER_PRODUCT)
        self._graph.hnsw.efConstruction = self.config.ef_construction
        self._ids, self._live = np.zeros(0, np.int32), np.zeros(0, np.bool_)  # of each row of the graph
        self._row = np.zeros(0, np.int64)  # the row that holds for each id

    def _add(self, ids: Int32, vectors: Float32) -> None:
        threads = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)
        try:
            self._graph.add(vectors)
        finally:
            self._faiss.omp_set_num_threads(threads)
        self._name(ids)

    def _name(self, ids: Int32) -> None:
        """The graph's newest rows are these ids'."""
        first, size = len(self._ids), int(ids.max(initial=0)) + 1
        self._ids = np.concatenate([self._ids, ids])
        self._live = np.concatenate([self._live, np.ones(len(ids), np.bool_)])
        self._row = np.concatenate([self._row, np.zeros(max(size - len(self._row), 0), np.int64)])
        self._row[ids] = np.arange(first, len(self._ids))

    def _mend(self) -> None:
        if len(self._live) - len(self) > _DEAD * len(self._live):
            self._rebuild()

    def _rebuild(self) -> None:
        self._clear()
        ids = self._exact.ids()
        self._add(ids, self._exact.vectors(ids))
