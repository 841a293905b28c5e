"""Coverage and exposure Gini with intervals: figures of a whole run, so users are drawn and each draw is measured anew.

    figure     coverage@k and gini@k of `beyond`, of all requests of all users
    draw       as many users as there are, with replacement, each with all their requests
    spread     draw + (figure - mean of the draws)

A draw holds some 63% of the users, so it covers less than all of them do, and a plain percentile interval would lie beside
the figure it is of. So the draws' spread is kept and their shift is taken off; a difference between two methods is taken draw
by draw and moved likewise. The interval is for this many users: more would cover more; where nearly all items are shown it is
wider than it need be.

Shapes: figures [1 + B, 2], the run's own first. Cost O(B (R k + m log m)) for m items that are ever shown, in bounded memory.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 10.
"""

import numpy as np
from scipy import sparse

from headrace.contracts.requests import Bool, Float64
from headrace.evaluate.bootstrap import Means, draws, held
from headrace.evaluate.lists import RankedLists

METRICS = ("coverage", "gini")


def resampled_figures(lists: RankedLists, available: Bool, k: int, *, resamples: int, seed: int) -> Float64:
    """Equal users, resamples, seed and catalogue draw the same users, so methods pair. Gini is NaN without an exposure."""
    there = available.copy()
    there[0] = False
    items = np.where(there[lists.items[:, :k]], lists.items[:, :k], 0)
    users, row = np.unique(lists.users, return_inverse=True)
    shown, column = np.unique(items, return_inverse=True)
    size = (len(users), len(shown))
    places = (np.repeat(row, items.shape[1]), column.ravel())
    exposures = sparse.coo_array((np.ones(items.size), places), shape=size).tocsr()[:, int(not shown.all()) :]
    n_items = int(there.sum())
    figures = np.empty((1 + resamples, len(METRICS)))
    figures[:1] = _figures(exposures.sum(0)[None], n_items)
    for rows, counts in draws(len(users), resamples=resamples, seed=seed, width=n_items):
        figures[1:][rows] = _figures(counts @ exposures, n_items)
    return figures


def moved(figures: Float64, n: int) -> Means:
    """figures [1 + B, M] of n users, the run's own first, then each draw's."""
    resampled = figures[1:] + (figures[:1] - np.nanmean(figures[1:], axis=0))
    return held(figures[0], resampled, n)


def _figures(exposures: Float64, n_items: int) -> Float64:
    """exposures [b, m]: how often each item is shown. Items never shown come first in the order and weigh nothing."""
    ordered = np.sort(exposures, axis=1)
    rank = np.arange(n_items - ordered.shape[1] + 1, n_items + 1)
    total = n_items * ordered.sum(1)
    gini = np.divide(ordered @ (2.0 * rank - n_items - 1), total, out=np.full(len(total), np.nan), where=total > 0)
    return np.stack([(ordered > 0).sum(1) / n_items, gini], axis=1)
