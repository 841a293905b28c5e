"""How high lists of one right item place it, a figure a list, then a user: the mean of a user's lists, each list alike.

    rank = 1 + others above + half of those that score alike
    AUC = (others below + half of those alike) / others;   MRR = 1 / rank;   nDCG@k = 1 / log2(1 + rank) where rank <= k

So AUC is averaged over lists (the way news recommendation has it), not of all pairs pooled: that one user's scores lie higher
than another's counts for nothing. Where every user has as many lists, the mean over users is the mean over lists.
"""

from collections.abc import Mapping

import numpy as np

from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float32, Float64, Int32

AUC, MRR, NDCG_5, NDCG_10 = "AUC", "MRR", "nDCG@5", "nDCG@10"
METRICS = (AUC, MRR, NDCG_5, NDCG_10)


def figures_of_lists(scores: Float32, lists: CandidateLists) -> Mapping[str, Float64]:
    """scores [R, C] -> metric -> [R]."""
    there, liked = lists.candidates.there, lists.label > 0
    own = (np.where(liked, scores, 0).sum(1) / liked.sum(1))[:, None]
    others = there & ~liked
    above, alike = (others & (scores > own)).sum(1), (others & (scores == own)).sum(1)
    rank = 1 + above + alike / 2
    gain = 1 / np.log2(1 + rank)
    return {
        AUC: 1 - (above + alike / 2) / others.sum(1),
        MRR: 1 / rank,
        NDCG_5: np.where(rank <= 5, gain, 0.0),
        NDCG_10: np.where(rank <= 10, gain, 0.0),
    }


def by_user(values: Float64, users: Int32) -> Float64:
    """[R] -> the mean of each user's, in the order of their numbers."""
    _, row = np.unique(users, return_inverse=True)
    return np.bincount(row, values) / np.bincount(row)
