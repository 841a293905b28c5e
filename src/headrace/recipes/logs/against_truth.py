"""Predictions held against true chances, without the luck of a draw: a pair of chance p counts p as a click and 1 - p as none.

    auc                 P(score of a click > score of what was not clicked), ties count half
    grouped_auc         the auc inside each group, a user say, weighed by its pairs
    hit_rate            of all clicks on lists, the share that falls on the k ranked first:  Σ_top k p / Σ p
    calibration_ratio   Σ prediction / Σ p
    normalized_entropy  mean of -p log q - (1 - p) log(1 - q), over the entropy of the mean p

Each is what its figure on drawn clicks tends to with ever more draws of the same pairs. Shapes: predictions q and chances p
[R, C], or [N] where lists don't matter. Cost O(N log N) for the orders.
"""

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Float64, Int32
from headrace.evaluate.pointwise import entropy

_TINY = 1e-12


def auc(q: Float64, p: Float64) -> float:
    order = np.argsort(q, axis=None, kind="stable")
    q, p = q.ravel()[order], p.ravel()[order]
    starts = np.flatnonzero(np.append(True, q[1:] != q[:-1])[: len(q)])  # equal scores are one place
    won, lost = np.add.reduceat(p, starts), np.add.reduceat(1 - p, starts)
    return float((won * (lost.cumsum() - lost / 2)).sum() / (won.sum() * lost.sum()))


def grouped_auc(q: Float64, p: Float64, groups: Int32) -> float:
    """q, p [R, C], groups [R]. Chances lie between 0 and 1, so each group has some of a click and of none: all count."""
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    weight = [len(of) for of in rows]
    return float(np.average([auc(q[of], p[of]) for of in rows], weights=weight))


def hit_rate(q: Float64, p: Float64, k: int) -> float:
    """q, p [R, C]."""
    return float(np.take_along_axis(p, best(q, k), 1).sum() / p.sum())


def calibration_ratio(q: Float64, p: Float64) -> float:
    return float(q.sum() / p.sum())


def normalized_entropy(q: Float64, p: Float64) -> float:
    q = np.clip(q, _TINY, 1 - _TINY)
    return float((-p * np.log(q) - (1 - p) * np.log1p(-q)).mean() / entropy(float(p.mean())))


def distinct(q: Float64, kinds: Int32, k: int) -> float:
    """Of how many kinds the k ranked first are, on average over requests; kinds [R, C]."""
    found = np.sort(np.take_along_axis(kinds, best(q, k), 1), axis=1)
    return float(1 + (np.diff(found, axis=1) != 0).sum(1).mean())


def best(q: Float64, k: int) -> NDArray[np.int64]:
    """Places [R, k]; ties keep the order they stand in."""
    return np.argsort(-q, axis=1, kind="stable")[:, :k]
