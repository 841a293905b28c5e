"""The one figure an early stop looks at, on a window that the fit does not see: NDCG@10, or the log loss of probabilities.

Of several tasks it is the mean of their normalised entropies, in which each counts alike however rare it is.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np

from headrace.cascade.join import stacked
from headrace.cascade.scoring import all_logits_of
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, Float64, History, Int64, Requests
from headrace.contracts.rng import mix, seed_of, stable_hash, uniform
from headrace.contracts.seams import Retriever, Scorer
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.pointwise import log_loss, normalized_entropy
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
    if lists.tasks:
        return -_mean_entropy(all_logits_for(scorer, lists), lists)
    if lists.known is None or not lists.known.any() or not getattr(scorer, "probabilities", False):
        return ndcg_of_ranker(scorer, lists)
    return -log_loss(lists.label[lists.known], probabilities(logits_for(scorer, lists)[lists.known]))


def _mean_entropy(logits: Mapping[str, Float32], lists: CandidateLists) -> float:
    """Over the tasks that came both ways; 0 where none did, which is no reason to stop or to go on."""
    found = []
    for name, label in lists.tasks.items():
        known = ~np.isnan(label)
        if 0 < label[known].sum() < known.sum():
            found.append(normalized_entropy(label[known], probabilities(logits[name][known])))
    return float(np.mean(found)) if found else 0.0


def logits_for(scorer: Scorer, lists: CandidateLists) -> Float32:
    """[R, C], in bounded memory; of several, what the scorer orders by."""
    return next(iter(all_logits_for(scorer, lists).values()))


def all_logits_for(scorer: Scorer, lists: CandidateLists) -> dict[str, Float32]:
    """By task, what the scorer orders by first."""
    if not len(lists):
        return {"": np.zeros(lists.label.shape, np.float32), **{n: np.zeros_like(label) for n, label in lists.tasks.items()}}
    parts = [all_logits_of(scorer, part, lists.candidates.take(rows)) for rows, part in lists.requests.chunks(_AT_ONCE)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
