"""K-means on matrix products alone: seeded starts on a sample, then full passes from the best of them.

    start  k-means++: the next centroid is a point drawn with a chance that grows with its squared distance to those chosen
    pass   each point to its nearest centroid, each centroid to the mean of its points; a centroid without points goes to the
           point that is farthest from its own (so the points of largest residual get codes of their own)

Where there are fewer distinct points than centroids, fewer come back. Cost O(n k dim) a pass, all of it one matrix product; at
most 256 points a centroid take part, which bounds a fit on any catalogue. Memory O(8192 k) beyond the points.
Papers: Arthur and Vassilvitskii, SODA 2007 (the start).
"""

import numpy as np
from scipy import sparse

from headrace.contracts.requests import Float32, Int32

_AT_ONCE = 8192
_POINTS, _START_POINTS = 256, 16  # a centroid, of the passes and of the starts
_STARTS, _START_PASSES, _PASSES = 4, 3, 25
_ENOUGH = 1e-4  # a pass that takes off less than this share of the squared error is the last


def kmeans(points: Float32, k: int, draw: np.random.Generator, *, nothing: float = 0.0) -> Float32:
    """[at most k, dim]. nothing: a squared distance up to which two points are one."""
    few = _sample(points, _START_POINTS * k, draw)
    starts = [_passes(few, _start(few, k, draw, nothing), _START_PASSES, nothing) for _ in range(_STARTS)]
    best, _ = min(starts, key=lambda start: start[1])
    return _passes(_sample(points, _POINTS * k, draw), best, _PASSES, nothing)[0]


def nearest(points: Float32, centroids: Float32) -> tuple[Int32, Float32]:
    """Each point's nearest centroid and its squared distance, [n] both; of several as near, the first."""
    codes, gaps = np.zeros(len(points), np.int32), np.zeros(len(points), np.float32)
    half = 0.5 * np.square(centroids).sum(1)
    for start in range(0, len(points), _AT_ONCE):
        part = points[start : start + _AT_ONCE]
        closeness = part @ centroids.T - half
        codes[start : start + _AT_ONCE] = best = closeness.argmax(1)
        gaps[start : start + _AT_ONCE] = np.square(part).sum(1) - 2 * closeness[np.arange(len(part)), best]
    return codes, np.maximum(gaps, 0)


def _start(points: Float32, k: int, draw: np.random.Generator, nothing: float) -> Float32:
    norms = np.square(points).sum(1)
    chosen = [int(draw.integers(len(points)))]
    gaps = np.full(len(points), np.inf, np.float32)
    while True:
        newest = points[chosen[-1]]
        gaps = np.minimum(gaps, norms - 2 * (points @ newest) + newest @ newest)
        gaps[chosen[-1]] = 0
        gaps[gaps <= nothing] = 0
        reached = np.cumsum(gaps, dtype=np.float64)
        if len(chosen) == k or not reached[-1]:
            found: Float32 = points[chosen]
            return found
        chosen.append(int(np.searchsorted(reached, draw.random() * reached[-1], side="right")))


def _passes(points: Float32, centroids: Float32, most: int, nothing: float) -> tuple[Float32, float]:
    """The centroids after at most so many passes, those in use, and the squared error they leave."""
    before = np.inf
    for _ in range(most):
        codes, gaps = nearest(points, centroids)
        error = float(gaps.sum(dtype=np.float64))
        counts = np.bincount(codes, minlength=len(centroids))
        lost = int((counts == 0).sum())
        if not lost and error >= (1 - _ENOUGH) * before:
            break
        before = error
        far = np.argsort(-gaps, kind="stable")[:lost]
        members = sparse.csr_matrix(
            (np.ones(len(codes), np.float32), (codes, np.arange(len(codes)))), (len(centroids), len(codes))
        )
        means = (members @ points)[counts > 0] / counts[counts > 0, None]
        centroids = np.concatenate([means, points[far[gaps[far] > nothing]]]).astype(np.float32)
    codes, gaps = nearest(points, centroids)
    used = np.bincount(codes, minlength=len(centroids)) > 0
    return centroids[used], float(gaps.sum(dtype=np.float64))


def _sample(points: Float32, most: int, draw: np.random.Generator) -> Float32:
    return points if len(points) <= most else points[np.sort(draw.choice(len(points), most, replace=False))]
