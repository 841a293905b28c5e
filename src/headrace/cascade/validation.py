"""The one figure an early stop looks at, on a window that the fit does not see: NDCG@10, or the log loss of probabilities."""

from math import ceil
from typing import Any

import numpy as np

from headrace.cascade.join import stacked
from headrace.cascade.scoring import logits_of
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, Float64, History, Int64, Requests
from headrace.contracts.rng import mix, seed_of, stable_hash, uniform
from headrace.contracts.seams import Retriever, Scorer
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.pointwise import log_loss
from headrace.evaluate.ranking import measure

_AT_ONCE = 512


def newest_apart(requests: Requests, share: float, seed: int) -> tuple[Int64, Int64]:
    """Rows to fit on, and the newest share of them to stop by; who of one moment is on which side is a seeded draw."""
    draws = uniform(mix(stable_hash(requests.ids), seed_of(seed, "newest apart")))
    order = np.lexsort((draws, requests.at_us))
    first = max(ceil((1 - share) * (len(order) - 1)), 0)
    return np.sort(order[:first]), np.sort(order[first:])


def ndcg_of_retriever(retriever: Retriever, requests: Requests, answers: History, available: Bool, *, seen_items: bool) -> float:
    found = [
        retriever.retrieve(part, 10, Allowed(available, None if seen_items else part.history))
        for _, part in requests.chunks(_AT_ONCE)
    ]
    return _mean(stacked(found), requests, Relevant.from_pairs(answers.rows(), answers.items, len(requests)), "ndcg@10")


def ndcg_of_ranker(scorer: Scorer, lists: CandidateLists) -> float:
    """Among the candidates whose labels are known: what the retrievers missed is not the ranker's to find."""
    candidates = lists.candidates
    mine = candidates.items if lists.known is None else np.where(lists.known, candidates.items, 0)
    best = Candidates(mine, {"scored": logits_for(scorer, lists)}).top("scored", 10)
    return _mean(best, lists.requests, _labelled(lists), "ndcg@10")


def value_of_ranker(scorer: Any, lists: CandidateLists) -> float:
    """Higher is better. Impressions that are shown one a request have no order, so where a scorer gives probabilities of what
    became of them, it is stopped by their log loss."""
    if lists.known is None or not lists.known.any() or not getattr(scorer, "probabilities", False):
        return ndcg_of_ranker(scorer, lists)
    return -log_loss(lists.label[lists.known], probabilities(logits_for(scorer, lists)[lists.known]))


def logits_for(scorer: Scorer, lists: CandidateLists) -> Float32:
    """[R, C], in bounded memory."""
    parts = [logits_of(scorer, part, lists.candidates.take(rows)) for rows, part in lists.requests.chunks(_AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(lists.label.shape, np.float32)


def probabilities(logits: Float32) -> Float64:
    """The sigmoid, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))


def recall_of(candidates: Candidates, requests: Requests, answers: History) -> float:
    """The share of the right items that are among the candidates at all."""
    relevant = Relevant.from_pairs(answers.rows(), answers.items, len(requests))
    return _mean(candidates, requests, relevant, f"recall@{candidates.items.shape[1]}")


def _labelled(lists: CandidateLists) -> Relevant:
    row, place = np.nonzero(lists.label)
    return Relevant.from_pairs(row, lists.candidates.items[row, place], len(lists))


def _mean(found: Candidates, requests: Requests, relevant: Relevant, metric: str) -> float:
    width = int(metric.split("@")[1])
    items = np.pad(found.items, ((0, 0), (0, max(width - found.items.shape[1], 0))))
    values = measure(RankedLists(requests.users, items), relevant, [metric])[metric]
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
