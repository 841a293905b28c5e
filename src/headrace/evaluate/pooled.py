"""AUC and ECE over all impressions together, with their resamples: no ratio of users' sums, so each draw is measured anew.

    draw     as many users as there are, with replacement, each with all their impressions
    auc      P(score of a positive > score of a negative) of the draw, ties count half
    ece      over the bins of equal mass of all impressions, which stay as they are

The first figure is the run's own; `exposures.moved` makes means and intervals of the rest. Equal users, resamples and seed draw
the same users, so methods pair. Shapes: users, labels, scores [N]; figures [1 + B]. Cost O(B N) for auc, O(N log N + B U) for
ece.
"""

import numpy as np

from headrace.contracts.requests import Float64
from headrace.evaluate.bootstrap import draws, resampled_sums
from headrace.evaluate.pointwise import Numbers, equal_mass_bins


def resampled_aucs(users: Numbers, labels: Numbers, scores: Numbers, *, resamples: int, seed: int) -> Float64:
    """NaN where a draw has one class only."""
    ids, row = np.unique(users, return_inverse=True)
    order = np.argsort(scores, kind="stable")
    row, positive, ordered = row[order], np.asarray(labels, np.float64)[order], np.asarray(scores)[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])  # equal scores are one place
    figures = np.empty(1 + resamples)
    figures[:1] = _aucs(np.ones((1, len(row))), positive, starts)
    for drawn, counts in draws(len(ids), resamples=resamples, seed=seed, width=len(row)):
        figures[1:][drawn] = _aucs(counts[:, row], positive, starts)
    return figures


def _aucs(weights: Float64, positive: Float64, starts: Numbers) -> Float64:
    """weights [b, N] of impressions in the order of their scores."""
    won = np.add.reduceat(weights * positive, starts, axis=1)
    lost = np.add.reduceat(weights * (1 - positive), starts, axis=1)
    below = lost.cumsum(1) - lost / 2
    pairs = won.sum(1) * lost.sum(1)
    found: Float64 = np.divide((won * below).sum(1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return found


def resampled_eces(users: Numbers, labels: Numbers, predictions: Numbers, *, resamples: int, seed: int) -> Float64:
    ids, row = np.unique(users, return_inverse=True)
    p = np.asarray(predictions, np.float64)
    bin_ = equal_mass_bins(p)
    width = int(bin_.max()) + 1
    excess = np.bincount(row * width + bin_, p - np.asarray(labels, np.float64), minlength=len(ids) * width)
    columns = np.hstack([excess.reshape(len(ids), width), np.bincount(row, minlength=len(ids))[:, None]])
    sums = np.vstack([columns.sum(0), resampled_sums(columns, resamples=resamples, seed=seed)])
    eces: Float64 = np.abs(sums[:, :-1]).sum(1) / sums[:, -1]
    return eces
