"""Recall@10 against queries a second, one thread, on clustered unit vectors: exact, HNSW, and faiss's own flat index.

    python -m benchmarks.index [--vectors 50000] [--dim 64] [--queries 500]

Queries are answered one at a time, as a server does, and in one batch. Each figure is the median of five rounds.
Filters: a random share of the ids is allowed.
"""

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by faiss and numpy when they load

import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from benchmarks.record import record
from headrace.contracts.rng import rng
from headrace.encode.exact import ExactIndex
from headrace.encode.hnsw import HNSWConfig, HNSWIndex
from headrace.encode.index import VectorIndex

ROUNDS, K = 5, 10
Search = Callable[[Any], Any]


def clustered(n: int, dim: int, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Around 500 shared centres."""
    centres, draw = rng(0, "centres").normal(size=(500, dim)), rng(0, name)
    vectors = centres[draw.integers(len(centres), size=n)] + 0.6 * draw.normal(size=(n, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def ours(index: VectorIndex, allowed: Any = None) -> Search:
    return lambda queries: index.search(queries, K, allowed)[0]


def measured(search: Search, queries: Any, truth: Any) -> dict[str, float]:
    found = search(queries)
    hits = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, truth, strict=True)])
    batch, single = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        search(queries)
        batch.append(len(queries) / (time.perf_counter() - started))
        started = time.perf_counter()
        for row in range(100):
            search(queries[row : row + 1])
        single.append(100 / (time.perf_counter() - started))
    return {
        "recall@10": round(float(hits), 4),
        "queries/s, one by one": round(float(np.median(single))),
        "queries/s, batch": round(float(np.median(batch))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--queries", type=int, default=500)
    asked = parser.parse_args()
    vectors, queries = clustered(asked.vectors, asked.dim, "stored"), clustered(asked.queries, asked.dim, "queries")
    ids = np.arange(1, asked.vectors + 1, dtype=np.int32)
    exact = ExactIndex(asked.dim)
    exact.upsert(ids, vectors)
    truth = exact.search(queries, K)[0]
    flat = faiss.IndexFlatIP(asked.dim)
    flat.add(vectors)
    figures: dict[str, Any] = {"vectors": asked.vectors, "dim": asked.dim, "queries": asked.queries}
    rows: dict[str, tuple[Search, Any]] = {
        "exact": (ours(exact), truth),
        "faiss flat": (lambda some: flat.search(some, K)[1] + 1, truth),
    }
    for ef_search in (16, 64, 256):
        started = time.perf_counter()
        graph = HNSWIndex(asked.dim, HNSWConfig(ef_search=ef_search))
        graph.upsert(ids, vectors)
        figures["hnsw, build, s"] = round(time.perf_counter() - started, 2)
        rows[f"hnsw {ef_search}"] = (ours(graph), truth)
        if ef_search == 64:
            for share in (0.5, 0.2, 0.05, 0.01):
                allowed = np.concatenate([[False], rng(0, "allowed").random(asked.vectors) < share])
                right = exact.search(queries, K, allowed)[0]
                rows[f"exact, {share:.0%} allowed"] = (ours(exact, allowed), right)
                rows[f"hnsw 64, {share:.0%} allowed"] = (ours(graph, allowed), right)
    for name, (search, right) in rows.items():
        figures |= {f"{name}, {what}": value for what, value in measured(search, queries, right).items()}
    record("index", figures)


if __name__ == "__main__":
    main()
