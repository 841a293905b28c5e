"""Weights that are shares: projection onto the simplex, and the shortest vector in the hull of m gradients.

    projected(v) = argmin |w - v|²,     shortest(A) = argmin w' A w      over w >= 0, sum w = 1

shortest is Wolfe's method: it keeps a set of gradients and the shortest point of their affine hull, lets in the one that points
most against it and lets go of those whose weight would fall below 0. It ends in the exact answer after a few m × m solves,
also where A is singular. Adding a constant to all of A, or a_i + a_j to A_ij, turns it to any convex quadratic on the simplex.
Cost O(m log m) and about m solves of at most m × m. Paper: Wolfe, Mathematical Programming 11, 1976.
"""

import numpy as np

from headrace.balance.oracles import Matrix, Vector

TOLERANCE = 1e-12


def projected(v: Vector, least: float = 0.0) -> Vector:
    """least: no share below it, at most 1 / m."""
    free = max(1.0 - least * len(v), 0.0)
    from_top = np.sort(v)[::-1]
    over = (np.cumsum(from_top) - free) / np.arange(1, len(v) + 1)
    threshold = over[np.flatnonzero(from_top >= over)[-1]]
    return np.asarray(np.maximum(v - threshold, 0.0) + least)


def shortest(gram: Matrix) -> Vector:
    m = len(gram)
    size = float(np.abs(gram).max())
    weights = np.zeros(m)
    if size == 0:
        return weights + 1 / m
    scaled = gram / size
    kept = [int(scaled.diagonal().argmin())]
    weights[kept[0]] = 1.0
    for _ in range(10 * m):
        slopes = scaled @ weights
        new = int(slopes.argmin())
        if new in kept or slopes[new] >= slopes @ weights - TOLERANCE:
            break
        kept.append(new)
        _settle(scaled, kept, weights)
    return weights


def _settle(scaled: Matrix, kept: list[int], weights: Vector) -> None:
    """Moves the weights to the shortest point of a smaller and smaller affine hull, until none of them is negative."""
    while True:
        wanted = _affine(scaled[np.ix_(kept, kept)])
        low = wanted <= TOLERANCE
        if not low.any():
            weights[kept] = wanted
            return
        now = weights[kept]
        with np.errstate(divide="ignore", invalid="ignore"):
            ways = np.where(low, now / (now - wanted), np.inf)
        way = float(np.nan_to_num(ways, nan=0.0, posinf=np.inf).min())
        moved = np.where(ways <= way, 0.0, now + min(way, 1.0) * (wanted - now))
        weights[:] = 0.0
        weights[kept] = moved / moved.sum()
        kept[:] = [task for task, share in zip(kept, moved, strict=True) if share > 0]


def _affine(gram: Matrix) -> Vector:
    """The shortest combination whose weights sum to 1, of any sign; the evenest of them where there are several."""
    m = len(gram)
    system = np.ones((m + 1, m + 1))
    system[:m, :m], system[m, m] = gram, 0.0
    wanted = np.zeros(m + 1)
    wanted[m] = 1.0
    return np.asarray(np.linalg.lstsq(system, wanted, rcond=None)[0][:m])
