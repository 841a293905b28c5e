"""A preference in words moves what a scorer made of the candidates: those like what is wanted up, those like what is not down.

    z_j(i) = (cos(w_j, v_i) - mean) / sd        how like item i is to instruction j, mean and sd over the whole catalogue
    s'(i)  = s(i) + weight · sd(s) · Σ_j polarity_j · min(max(z_j(i), 0), 4)

An item no more like an instruction than most are is neither helped nor hurt by it. sd(s) is that of the request's own scores, so
the weight is in standard deviations whatever the scorer's scale. It acts before each scorer's cut, so what is wanted is not
dropped before it counts, and its outcome is the page's score: a stage of its own, "preference". Cost O(C dim) an instruction and
request; mean and sd come from the catalogue's first two moments, O(dim²).
It needs no model trained on preferences. Where one of the retrievers is (mender), candidates that fit are proposed too.
"""

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Candidates, Float32, Requests

PREFERENCE = "preference"
"""The request's feature [R, slots, dim + 1] (see `encode.preferences`), and the stage's name."""
_MOST = 4.0


class Steering:
    """vectors [n_items, dim], rows of zeros for items without words."""

    def __init__(self, vectors: Float32, weight: float):
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.vectors: Float32 = (vectors / np.maximum(length, 1e-12)).astype(np.float32)
        self.weight = weight
        spoken = self.vectors[length[:, 0] > 0].astype(np.float64)
        self.mean = spoken.mean(0) if len(spoken) else np.zeros(vectors.shape[1])
        self.spread = spoken.T @ spoken / max(len(spoken), 1) - np.outer(self.mean, self.mean)

    def over(self, vectors: Any) -> "Steering":
        """The same for more items: their vectors, looked up by number."""
        made = copy.copy(self)
        made.vectors = vectors
        return made

    def __call__(self, requests: Requests, candidates: Candidates, stage: str) -> Candidates:
        """With the score PREFERENCE last: the stage's, moved. Without a preference among the requests, as they came."""
        wanted = requests.features.get(PREFERENCE)
        scores = {name: values for name, values in candidates.scores.items() if name != PREFERENCE}
        if wanted is None:
            return candidates
        if wanted.shape[2] != self.vectors.shape[1] + 1:
            raise DataError(
                f"a preference has vectors of {wanted.shape[2] - 1} numbers, items have {self.vectors.shape[1]}: turn both into "
                "vectors with the same encoder."
            )
        own = np.where(candidates.there, scores[stage], np.nan).astype(np.float64)
        there = candidates.there & ~np.isnan(own)
        count = np.maximum(there.sum(1, keepdims=True), 1)
        mean = np.where(there, own, 0).sum(1, keepdims=True) / count
        spread = np.sqrt((np.where(there, own - mean, 0) ** 2).sum(1, keepdims=True) / count)
        moved = own + self.weight * np.where(spread > 0, spread, 1.0) * self.affinity(wanted, candidates)
        return replace(candidates, scores={**scores, PREFERENCE: moved.astype(np.float32)})

    def affinity(self, wanted: Float32, candidates: Candidates) -> Float32:
        """Σ_j polarity_j · min(max(z_j, 0), 4), [R, C]."""
        words, polarity = wanted[..., :-1].astype(np.float64), wanted[..., -1]
        words = words / np.maximum(np.linalg.norm(words, axis=2, keepdims=True), 1e-12)
        items = np.where(candidates.items < len(self.vectors), candidates.items, 0)
        likeness = np.einsum("rcd,rjd->rjc", self.vectors[items], words)
        mean = words @ self.mean
        spread = np.sqrt(np.maximum(np.einsum("rjd,de,rje->rj", words, self.spread, words), 1e-12))
        standard = np.clip((likeness - mean[..., None]) / spread[..., None], 0, _MOST)
        found: Float32 = np.einsum("rjc,rj->rc", standard, polarity).astype(np.float32)
        found[~self.vectors[items].any(2)] = 0.0
        return found
