"""Small seeded inputs for the suites, with all that breaks: empty histories, ties, padding, stages that were silent."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Allowed, Candidates, History, Requests
from headrace.contracts.rng import rng

HOUR_US = 3_600_000_000


def history_of(rows: Sequence[Sequence[int]], at_us: Sequence[Sequence[int]] | None = None) -> History:
    """From lists of items; without times, events stand an hour apart."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    times = at_us if at_us is not None else [[(place + 1) * HOUR_US for place in range(len(row))] for row in rows]
    items = np.array([item for row in rows for item in row], np.int32)
    return History(offsets, items, np.array([time for row in times for time in row], np.int64))


def interactions_of(rows: Sequence[Sequence[int]], n_items: int, at_us: Sequence[Sequence[int]] | None = None) -> Interactions:
    """From lists of items, one a user; row 0, the unknown user, is put in front."""
    history = history_of([[], *rows], None if at_us is None else [[], *at_us])
    available = np.arange(n_items) > 0
    cut_us = int(history.at_us.max(initial=0)) + 1
    return Interactions(history, n_items, cut_us, np.ones(len(history.items), np.float32), available)


def some_interactions(n_users: int = 15, n_items: int = 20, *, longest: int = 12, seed: int = 0) -> Interactions:
    """Histories of 0 to `longest` events with ties in time; the last item is withdrawn."""
    draw = rng(seed, "interactions")
    lengths = draw.integers(0, longest + 1, n_users)
    rows = [draw.integers(1, n_items, length).tolist() for length in lengths]
    times = [np.sort(draw.integers(1, longest, length) * HOUR_US).tolist() for length in lengths]
    made = interactions_of(rows, n_items, times)
    made.available[-1] = False
    return made


def some_requests(n: int = 7, n_items: int = 20, *, longest: int = 12, seed: int = 0) -> Requests:
    """The first has no history."""
    draw = rng(seed, "requests")
    lengths = [0, *draw.integers(1, longest + 1, n - 1)]
    history = history_of([draw.integers(1, n_items, length).tolist() for length in lengths])
    ids = np.array([f"request-{number}" for number in range(n)])
    return Requests(ids, np.arange(1, n + 1, dtype=np.int32), np.full(n, (longest + 1) * HOUR_US), history)


def some_allowed(requests: Requests, n_items: int = 20, *, seed: int = 0) -> Allowed:
    """Two items in three, and nothing that a request's history holds."""
    return Allowed(rng(seed, "allowed").random(n_items) < 2 / 3, requests.history)


def some_candidates(
    requests: Requests, n_items: int = 20, k: int = 6, *, stages: Sequence[str] = ("one", "two"), seed: int = 0
) -> Candidates:
    """Every third request has one candidate less; the first stages were silent on some, the last scored all."""
    draw = rng(seed, "candidates")
    items = np.stack([draw.permutation(np.arange(1, n_items))[:k] for _ in range(len(requests))]).astype(np.int32)
    items[::3, -1] = 0
    scores = {}
    for stage in stages:
        score = -np.sort(-draw.normal(size=items.shape), axis=1)
        silent = (items == 0) | ((draw.random(items.shape) < 0.3) & (stage != stages[-1]))
        scores[stage] = np.where(silent, np.nan, score).astype(np.float32)
    return Candidates(items, scores)


def some_lists(
    n: int = 24, n_items: int = 20, k: int = 6, *, stages: Sequence[str] = ("one", "two"), seed: int = 0
) -> CandidateLists:
    """One or two candidates of each request were chosen, but for every fifth, where none was."""
    requests = some_requests(n, n_items, seed=seed)
    candidates = some_candidates(requests, n_items, k, stages=stages, seed=seed)
    draw = rng(seed, "answers")
    answers = [
        items[draw.permutation(k - 1)[: 0 if row % 5 == 4 else 1 + row % 2]].tolist()
        for row, items in enumerate(candidates.items)
    ]
    return CandidateLists.of(requests, candidates, history_of(answers))


def some_class_rows(rows: int = 6, classes: int = 5, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """logits [rows, 3, classes], target [rows, 3], mask [rows, 3], for losses over classes."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, 3, classes, generator=draw)
    target = torch.randint(classes, (rows, 3), generator=draw)
    mask = torch.rand(rows, 3, generator=draw) < 0.7
    return logits, target, mask


def some_list_rows(rows: int = 6, width: int = 5, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """logits, label and there [rows, width], for losses over one request's candidates."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, width, generator=draw)
    label = (torch.rand(rows, width, generator=draw) < 0.4).float()
    there = torch.rand(rows, width, generator=draw) < 0.8
    return logits, label, there
