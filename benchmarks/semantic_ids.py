"""Residual k-means beside faiss's own k-means, level by level: CPU seconds to fit and to encode, and what is left.

    python -m benchmarks.semantic_ids [--items 100000] [--dim 384] [--levels 3] [--codes 256]

Vectors of length 1 around 500 shared centres, one thread. Both sides make at most 25 passes on at most 256 points a code. What is
left is the mean square of x less all of its codes, over that of x less the mean. A ratio is of CPU seconds, the median of three
rounds, above 1 where ours is faster.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when they load

import statistics
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from benchmarks.index import clustered
from benchmarks.record import record
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float32, History
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans, ResidualKMeansConfig

ROUNDS = 3


def ours(vectors: Float32, levels: int, codes: int, seed: int) -> tuple[Callable[[], Any], Callable[[Any], Float32]]:
    n = len(vectors)
    history = History(np.array([0, 0, n - 1]), np.arange(1, n, dtype=np.int32), np.zeros(n - 1, np.int64))
    every = Interactions(history, n, 1, np.ones(n - 1, np.float32), np.ones(n, np.bool_))

    def fit() -> ResidualKMeans:
        made = ResidualKMeans(ResidualKMeansConfig(levels=levels, codes=codes), seed=seed)
        made.fit(every, {"item_vectors": vectors})
        return made

    return fit, lambda made: made.decode(made.encode(vectors))


def theirs(vectors: Float32, levels: int, codes: int, seed: int) -> tuple[Callable[[], Any], Callable[[Any], Float32]]:
    mean = vectors[1:].mean(0)

    def fit() -> list[Any]:
        made: list[Any] = []
        left = vectors - mean
        for level in range(levels):
            one: Any = faiss.Kmeans(vectors.shape[1], codes, niter=25, seed=seed + level + 1, max_points_per_centroid=256)
            one.train(left[1:])
            left = left - one.centroids[one.index.search(left, 1)[1][:, 0]]
            made.append(one)
        return made

    def decoded(made: list[Any]) -> Float32:
        left: Float32 = vectors - mean
        for one in made:
            left = left - one.centroids[one.index.search(left, 1)[1][:, 0]]
        found: Float32 = vectors - left
        return found

    return fit, decoded


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("items", 100_000), ("dim", 384), ("levels", 3), ("codes", 256)):
        asked.add_argument(f"--{name}", type=int, default=value)
    of = asked.parse_args()
    vectors = clustered(of.items, of.dim, "items")
    whole = float(np.square(vectors - vectors[1:].mean(0)).sum(1).mean())
    seconds: dict[str, list[float]] = {}
    left: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        for name, side in (("headrace", ours), ("faiss", theirs)):
            fit, decode = side(vectors, of.levels, of.codes, number)
            began = time.process_time()
            made = fit()
            fitted = time.process_time()
            found = decode(made)
            seconds.setdefault(f"{name}, fit", []).append(fitted - began)
            seconds.setdefault(f"{name}, encode", []).append(time.process_time() - fitted)
            left.setdefault(name, []).append(float(np.square(vectors - found).sum(1).mean()) / whole)
    figures: dict[str, Any] = {"items": of.items, "dim": of.dim, "levels": of.levels, "codes": of.codes, "rounds": ROUNDS}
    figures |= {f"{name}_cpu_s": round(statistics.median(values), 2) for name, values in seconds.items()}
    for what in ("fit", "encode"):
        ratios = [b / a for a, b in zip(seconds[f"headrace, {what}"], seconds[f"faiss, {what}"], strict=True)]
        figures[f"{what}, faiss / headrace"] = round(statistics.median(ratios), 2)
    figures |= {f"{name}, left": round(statistics.median(values), 4) for name, values in left.items()}
    record("semantic_ids", figures)


if __name__ == "__main__":
    main()
