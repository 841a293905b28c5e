"""Items that came since the build, which no model has a place for: each borrows the place of the known item most like it.

    kin(n)      the known items whose texts are most like n's, K of them, with cosines a_1 >= … >= a_K > 0; the first is its twin
    call(n)     = Σ_j a_j w(kin_j)              w(i) = 1 / (60 + i's place among the proposals) + 1 / (60 + how many came after i
                                                       in the history), each where i is there
    score(n)    = score(twin)                   at each stage, as if it stood there in n's stead

The newcomers with the highest calls, twice as many as a page may show, join the retrievers' proposals as those of one more,
"newcomers". What a scorer reads of who proposed one is the mean over its kin among the candidates, or over all of these where it
has none there. Known items lose nothing on the way: what is read of them and their scores are what they are without newcomers,
and at each cut as many of them go on; a newcomer goes on where it stands above the last of these. A score so made is a guess, so
no more newcomers reach the page than it may show (`most`), the best, and the page then fills its slots from all candidates as
ever: propensities stay exact. Few are called because likeness to what a person chose tells newcomers apart better than twins'
scores do (docs/serving.md, "Items").
It is all a function of request, history and which newcomers there are, and nothing hangs on their numbers; ties are broken by a
hash of their ids. Cost: O(N K + items) a request for N newcomers, and a few candidates more for each scorer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.cascade.scoring import NEWCOMERS, Scoring, scored
from headrace.cascade.steering import Steering
from headrace.contracts.batch import Batch
from headrace.contracts.requests import Bool, Candidates, Float32, Int32, Int64, Requests
from headrace.contracts.seams import Outputs, State
from headrace.data.features import Features

KIN = 8
_CALLED = 2  # for each slot that they may take
_FUSION = 60.0
_PUT_BY = "put by "


@dataclass(frozen=True, eq=False)
class Newcomers:
    """n_items: of the build. numbers [N]: theirs, ascending, from n_items on. keys [N]: hashes of their ids.

    kin, likeness [N, K]: numbers of known items and cosines, nearest first, 0 for none. may [N]: who may be shown. most: on a
    page.
    """

    n_items: int
    numbers: Int32
    keys: NDArray[np.uint64]
    kin: Int32
    likeness: Float32
    may: Bool
    most: int

    def beside(self, requests: Requests, found: Candidates, features: Features | None = None) -> Candidates:
        """The proposals, and the newcomers that they and the history call, behind them. Where there is none, as they came."""
        called, calls = self._called(self._weights(requests, found))
        if not called.any():
            return found
        silent = np.full(called.shape, np.nan, np.float32)
        scores = {name: np.concatenate([values, silent], 1) for name, values in found.scores.items()}
        scores[NEWCOMERS] = np.concatenate([np.full(found.items.shape, np.nan, np.float32), calls], 1)
        more = {} if features is None else features.pairs_at(requests.users, self.twin(called), requests.at_us)
        pairs = {name: np.concatenate([values, more[name]], 1) for name, values in found.features.items()}
        return Candidates(np.concatenate([found.items, called], 1), scores, pairs)

    def scored(
        self, scoring: Scoring, requests: Requests, candidates: Candidates, steering: Steering | None
    ) -> tuple[Candidates, Candidates]:
        """As `scoring.scored`, newcomers by their kin."""
        if not (candidates.items >= self.n_items).any():
            return scored(scoring, requests, candidates, steering)
        everything, _ = scored(
            replace(scoring, scorer=Borrowing(scoring.scorer, self)), requests, self._unsaid(candidates), steering
        )
        everything = self._said(everything, list(candidates.scores))
        known = everything.there & (everything.items < self.n_items)
        return everything, _only(everything, everything.there & (known.cumsum(1) - known < scoring.keep))

    def _unsaid(self, candidates: Candidates) -> Candidates:
        """With newcomers' scores put by, so that no known item is held against them in what its scorer reads."""
        new = candidates.items >= self.n_items
        scores = {name: np.where(new, np.float32(np.nan), values) for name, values in candidates.scores.items()}
        by = {_PUT_BY + name: values for name, values in candidates.scores.items()}
        return Candidates(candidates.items, scores, {**candidates.features, **by})

    def _said(self, candidates: Candidates, stages: Sequence[str]) -> Candidates:
        """With the scores that were put by."""
        scores = {**candidates.scores, **{name: candidates.features[_PUT_BY + name] for name in stages}}
        features = {name: values for name, values in candidates.features.items() if not name.startswith(_PUT_BY)}
        return Candidates(candidates.items, scores, features)

    def few(self, candidates: Candidates) -> Candidates:
        """All known ones, and no more newcomers than a page may have: those that stand highest."""
        new = candidates.items >= self.n_items
        return _only(candidates, candidates.there & (~new | (new.cumsum(1) <= self.most))) if new.any() else candidates

    def twin(self, items: Int32) -> Int32:
        """Of a newcomer the known item most like it, of a known item itself."""
        place, new = self.places(items)
        return np.where(new, self.kin[place, 0], items)

    def places(self, items: Int32) -> tuple[Int64, Bool]:
        """Of each newcomer among them its place in `numbers`, 0 of others; and which they are."""
        new = items >= self.n_items
        return np.where(new, np.searchsorted(self.numbers, items), 0), new

    def _weights(self, requests: Requests, found: Candidates) -> Float32:
        """w, [R, n_items]."""
        weights = np.zeros((len(requests), self.n_items), np.float32)
        rows = np.arange(len(requests))[:, None]
        weights[rows, found.items] = 1 / (_FUSION + 1 + np.arange(found.items.shape[1]))
        history = requests.history
        ago = np.repeat(history.offsets[1:], history.lengths) - np.arange(len(history.items))  # 1 for the newest
        came = np.zeros_like(weights)
        np.maximum.at(came, (history.rows(), history.items), (1 / (_FUSION + ago)).astype(np.float32))
        weights += came
        weights[:, 0] = 0.0
        return weights

    def _called(self, weights: Float32) -> tuple[Int32, Float32]:
        """[R, M] numbers, 0 behind them, and their calls."""
        calls = np.einsum("rnk,nk->rn", weights[:, self.kin], self.likeness)
        calls[:, ~self.may] = 0.0
        items = np.zeros((len(calls), min(_CALLED * self.most, len(self.numbers))), np.int32)
        found = np.full(items.shape, np.nan, np.float32)
        for row, own in enumerate(calls):
            some = np.flatnonzero(own > 0)
            if len(some) > items.shape[1]:  # to sort them all would take longer than the rest
                some = some[own[some] >= np.partition(own[some], -items.shape[1])[-items.shape[1]]]
            best = some[np.lexsort((self.keys[some], -own[some]))][: items.shape[1]]
            items[row, : len(best)], found[row, : len(best)] = self.numbers[best], own[best]
        width = max(int((items > 0).sum(1).max(initial=0)), 1)
        return items[:, :width], found[:, :width]


class Borrowing:
    """A `Scorer` of candidates of which some are newcomers: it asks another for their twins."""

    def __init__(self, scorer: Any, newcomers: Newcomers):
        self.scorer, self.newcomers = scorer, newcomers
        self.schema, self.candidate_schema = scorer.schema, scorer.candidate_schema

    def user(self, batch: Batch) -> State:
        state: State = self.scorer.user(batch)
        return state

    def score(self, state: State, candidates: Batch) -> Outputs:
        items = candidates["items"].numpy().astype(np.int32)
        asked = {
            **candidates, "items": torch.from_numpy(self.newcomers.twin(items).astype(np.int64)),
            "retrieval": torch.from_numpy(self._proposed(items, candidates["retrieval"].numpy())),
        }  # fmt: skip
        outputs: Outputs = self.scorer.score(state, asked)
        return outputs

    def _proposed(self, items: Int32, features: Float32) -> Float32:
        """[R, C, F]: of a newcomer the mean over its kin among the candidates, or over these where it has none there."""
        columns = np.flatnonzero((items >= self.newcomers.n_items).any(0))
        place, new = self.newcomers.places(items[:, columns])  # [R, M]
        known = (items > 0) & (items < self.newcomers.n_items)
        among = self.newcomers.kin[place][..., None] == np.where(known, items, -1)[:, None, None, :]  # [R, M, K, C]
        share = (among * self.newcomers.likeness[place][..., None]).sum(2)
        share = np.where(share.any(2, keepdims=True), share, known[:, None, :])
        share = share / np.maximum(share.sum(2, keepdims=True), 1e-12)
        found = features.copy()
        found[:, columns] = np.where(new[..., None], share @ features, features[:, columns])
        return found


def _only(candidates: Candidates, kept: Bool) -> Candidates:
    """Those that are kept, in the order they stand in."""
    order = np.argsort(~kept, axis=1, kind="stable")[:, : max(int(kept.sum(1).max(initial=0)), 1)]
    rows = np.arange(len(candidates))[:, None]
    there = kept[rows, order]
    scores = {name: np.where(there, values[rows, order], np.float32(np.nan)) for name, values in candidates.scores.items()}
    features = {name: values[rows, order] for name, values in candidates.features.items()}
    return Candidates(np.where(there, candidates.items[rows, order], 0), scores, features)
