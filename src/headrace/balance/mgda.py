"""MGDA: the shortest vector in the hull of the gradients, which no loss objects to.

    λ = argmin over the simplex of λ' A λ,   weight_i = m λ_i r_i,   r_i = 1, or mean_j |g_j| / |g_i| where normalised

Every loss falls along it, or the point is Pareto stationary. As published it follows the smallest gradient, and stalls with it:
two tasks with |g| = 1 and 2 at a right angle get 4/5 and 1/5. So gradients are compared at one length unless normalise = false.
Cost O(m³). Use it where no task may lose; it is slow to trade, and loses where the sum of the tasks is what counts.
`multibalance` is the same with lengths and products averaged over steps; `cagrad` stays near the mean gradient.
Paper: Sener and Koltun, NeurIPS 2018 (MGDA and MGDA-UB, which is oracle = "shared").
"""

import numpy as np

from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Matrix, Vector
from headrace.balance.simplex import shortest
from headrace.contracts.config import config


@config
class MGDAConfig(GramConfig):
    normalise: bool = True


def mgda(gram: Matrix) -> Vector:
    """λ."""
    return shortest(gram)


class MGDA(GramSolver):
    Config = MGDAConfig
    revision = 1

    def __init__(self, config: MGDAConfig):
        self.config = config

    def __call__(self, seen: Seen) -> Vector:
        assert seen.gram is not None
        if not self.config.normalise:
            return len(seen.gram) * mgda(seen.gram)
        lengths = np.sqrt(seen.gram.diagonal())
        scale = lengths.mean() / lengths
        return np.asarray(len(scale) * mgda(seen.gram * np.outer(scale, scale)) * scale)
