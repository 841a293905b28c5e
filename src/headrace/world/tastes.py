"""What each user likes, day by day.

    day 0:  π_u ~ Dirichlet(0.1)           θ_u = 6 normalise(Σ_k π_uk C_k)
    a day:  with probability `drift`       π_u <- (1 - w) π_u + w 1[k],   w ~ Beta(1, 0.1 topics),  k uniform

The step is the one that leaves a Dirichlet as it is (Sethuraman, Statistica Sinica 1994), so tastes change and their law does
not: a population is neither sharper nor flatter after a year. It is our reading of "drifting tastes".
Day d is a function of the seed and d alone: steps are drawn by day and replayed from day 0 where one goes back.
"""

import numpy as np

from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng

CONCENTRATION, LENGTH = 0.1, 6.0


class Tastes:
    """users: without the unknown one, row 0, who likes nothing."""

    def __init__(self, users: int, centres: Float64, drift: float, seed: int):
        self.users, self.centres, self.drift, self.seed = users, centres, drift, seed
        self._day, self._mixtures = -1, np.zeros((0, 0))
        self._vectors: tuple[int, Float64] | None = None

    def mixtures(self, day: int) -> Float64:
        """π [users + 1, topics] of a day; before day 0 that of day 0. Don't write into it."""
        day, topics = max(day, 0), len(self.centres)
        if self._day < 0 or day < self._day:
            drawn = rng(self.seed, "tastes").dirichlet(np.full(topics, CONCENTRATION), self.users)
            self._day, self._mixtures = 0, np.concatenate([np.zeros((1, topics)), drawn])
        while self._day < day:
            self._day += 1
            draw = rng(self.seed, "drift", self._day)
            moved = np.flatnonzero(draw.random(self.users) < self.drift) + 1
            weight = draw.beta(1, CONCENTRATION * topics, len(moved))
            self._mixtures = self._mixtures.copy()
            self._mixtures[moved] *= 1 - weight[:, None]
            self._mixtures[moved, draw.integers(0, topics, len(moved))] += weight
        return self._mixtures

    def vectors(self, day: int) -> Float64:
        """θ [users + 1, dim] of a day; row 0 is zero."""
        if self._vectors is None or self._vectors[0] != max(day, 0):
            sums = self.mixtures(day) @ self.centres
            self._vectors = max(day, 0), LENGTH * sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-300)
        return self._vectors[1]
