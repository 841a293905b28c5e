"""Several retrievers' proposals as one list: each item once, every retriever's score beside it.

Order: reciprocal rank fusion, sum over retrievers of 1 / (60 + rank), which needs no scores on one scale
(Cormack et al., SIGIR 2009). Cost O(R K log K).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from headrace.contracts.requests import Candidates, Float64

_FUSION = 60.0


def join(proposals: Mapping[str, Candidates]) -> Candidates:
    """name -> candidates with one score each; the result keeps the names as stages. [R, K] where K fits the longest union."""
    rows = len(next(iter(proposals.values())))
    if rows == 1:
        return _of_one(proposals)
    ranks = np.concatenate([np.broadcast_to(np.arange(p.items.shape[1]), p.items.shape).ravel() for p in proposals.values()])
    row = np.concatenate([np.repeat(np.arange(rows), p.items.shape[1]) for p in proposals.values()])
    items = np.concatenate([p.items.ravel() for p in proposals.values()]).astype(np.int64)
    source = np.concatenate([np.full(p.items.size, number) for number, p in enumerate(proposals.values())])
    score = np.concatenate([next(iter(p.scores.values())).ravel() for p in proposals.values()])
    there = items > 0
    row, items, source, score, ranks = (values[there] for values in (row, items, source, score, ranks))

    size = int(items.max(initial=0)) + 1
    keys, place = np.unique(row * size + items, return_inverse=True)
    fused = np.bincount(place, 1 / (_FUSION + 1 + ranks), minlength=len(keys))
    key_row = keys // size
    order = np.lexsort((-fused, key_row))
    counts = np.bincount(key_row, minlength=rows)
    column = np.empty(len(keys), np.int64)
    column[order] = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)

    joined = np.zeros((rows, max(int(counts.max(initial=0)), 1)), np.int32)
    joined[key_row, column] = keys % size
    scores = {name: np.full(joined.shape, np.nan, np.float32) for name in proposals}
    for number, name in enumerate(proposals):
        mine = source == number
        scores[name][row[mine], column[place[mine]]] = score[mine]
    return Candidates(joined, scores)


def _of_one(proposals: Mapping[str, Candidates]) -> Candidates:
    """The same of one request, in fewer steps: sums in the same order, so to the bit."""
    items = np.concatenate([p.items[0] for p in proposals.values()])
    weights = np.concatenate([_weights(p.items.shape[1]) for p in proposals.values()])
    there = items > 0
    keys, place = np.unique(items, return_inverse=True)
    padded = 0 if there.all() else 1  # 0 is the least, so it stands first
    fused = np.bincount(place, weights, minlength=len(keys))[padded:]
    order = np.argsort(-fused, kind="stable")
    column = np.empty(len(keys), np.int64)
    column[order + padded] = np.arange(len(fused))

    width = max(len(fused), 1)
    joined = np.zeros((1, width), np.int32)
    joined[0, : len(fused)] = keys[padded:][order]
    scores, start = {}, 0
    for name, one in proposals.items():
        part = slice(start, start := start + one.items.shape[1])
        mine, values = there[part], next(iter(one.scores.values()))[0]
        scores[name] = np.full((1, width), np.nan, np.float32)
        scores[name][0, column[place[part][mine]]] = values[mine]
    return Candidates(joined, scores)


@lru_cache(maxsize=64)
def _weights(width: int) -> Float64:
    """Of a list so long."""
    return 1 / (_FUSION + 1 + np.arange(width))


def stacked(parts: Sequence[Candidates]) -> Candidates:
    """One above the other, widened to the widest."""
    width = max(part.items.shape[1] for part in parts)

    def wide(values: Any, fill: float) -> Any:
        return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=fill)

    items = np.concatenate([wide(part.items, 0) for part in parts])
    scores = {name: np.concatenate([wide(part.scores[name], np.nan) for part in parts]) for name in parts[0].scores}
    return Candidates(items, scores)
