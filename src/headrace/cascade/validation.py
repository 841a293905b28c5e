"""The one figure an early stop looks at: NDCG@10 on a window that the fit does not see."""

import numpy as np

from headrace.cascade.join import stacked
from headrace.cascade.scoring import Scoring, score
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Allowed, Bool, Candidates, History, Requests
from headrace.contracts.seams import Retriever, Scorer
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure

_AT_ONCE = 512


def ndcg_of_retriever(retriever: Retriever, requests: Requests, answers: History, available: Bool, *, seen_items: bool) -> float:
    found = [
        retriever.retrieve(part, 10, Allowed(available, None if seen_items else part.history))
        for _, part in requests.chunks(_AT_ONCE)
    ]
    return _mean(stacked(found), requests, Relevant.from_pairs(answers.rows(), answers.items, len(requests)), "ndcg@10")


def ndcg_of_ranker(scorer: Scorer, lists: CandidateLists) -> float:
    """Among the candidates: what the retrievers missed is not the ranker's to find."""
    scoring = Scoring("scored", "", scorer, 10)
    parts = lists.requests.chunks(_AT_ONCE)
    found = [score([scoring], part, lists.candidates.take(rows)) for rows, part in parts]
    row, place = np.nonzero(lists.label)
    relevant = Relevant.from_pairs(row, lists.candidates.items[row, place], len(lists))
    return _mean(stacked(found), lists.requests, relevant, "ndcg@10")


def recall_of(candidates: Candidates, requests: Requests, answers: History) -> float:
    """The share of the right items that are among the candidates at all."""
    relevant = Relevant.from_pairs(answers.rows(), answers.items, len(requests))
    return _mean(candidates, requests, relevant, f"recall@{candidates.items.shape[1]}")


def _mean(found: Candidates, requests: Requests, relevant: Relevant, metric: str) -> float:
    width = int(metric.split("@")[1])
    items = np.pad(found.items, ((0, 0), (0, max(width - found.items.shape[1], 0))))
    values = measure(RankedLists(requests.users, items), relevant, [metric])[metric]
    return float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
