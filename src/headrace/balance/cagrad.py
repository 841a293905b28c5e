"""CAGrad: within a ball around the mean gradient, the direction along which the worst-off task gains most.

    g_0 = mean g_i,   g_w = sum w_i g_i,   w = argmin over the simplex of  g_w · g_0 + c |g_0| |g_w|
    d = g_0 + c |g_0| g_w / |g_w|

weight_i = 1 + m c |g_0| / |g_w| w_i. c = 0 is the plain sum; towards c = 1 it nears MGDA, with which it shares the dual. rescale
divides by 1 + c².
The norm in the middle is solved for by its length: for a given t the dual is a quadratic, min  g_w·g_0 + |g_w|² / 2 t, which is
exact on the simplex, and t = |g_w| / (c |g_0|) is found by halving the interval and a secant in log t. Cost about 15 · O(m³).
Use it where the mean loss is what counts and no task may fall behind. Loses to `multibalance` where losses differ in scale: its
mean gradient is that of the largest loss.
Paper: Liu et al., NeurIPS 2021.
"""

from math import sqrt
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Matrix, Vector
from headrace.balance.simplex import shortest
from headrace.contracts.config import config

STATIONARY = 1e-4
"""|g_w| below this share of the gradients' whole length: nothing helps all tasks, and the mean stays as it is."""


@config
class CAGradConfig(GramConfig):
    c: Annotated[float, Ge(0), Lt(1)] = 0.4
    rescale: bool = False


def cagrad(gram: Matrix, c: float) -> Vector:
    """Weights that sum to 1 + c |g_0| / |g_w|, of which the mean gradient's are 1 / m each."""
    m = len(gram)
    size = float(np.trace(gram))
    mean = np.full(m, 1 / m)
    if size == 0 or c == 0:
        return mean
    scaled = gram / size
    reach = c * sqrt(max(float(mean @ scaled @ mean), 0.0))
    if reach == 0:
        return mean
    weights = _dual(scaled, scaled @ mean, reach)
    length = sqrt(max(float(weights @ scaled @ weights), 0.0))
    return mean if length < STATIONARY else mean + reach / length * weights


def _dual(gram: Matrix, slopes: Vector, reach: float) -> Vector:
    """argmin slopes · w + reach |g_w|. |g_w| / t falls with t, so its root is one."""

    def at(log_t: float) -> tuple[Vector, float]:
        t = float(np.exp(log_t))
        found = shortest(gram + t * (slopes[:, None] + slopes[None, :]))
        length = sqrt(max(float(found @ gram @ found), 0.0))
        return found, float(np.log(max(length, 1e-30) / (reach * t)))

    low, high = -14.0, float(np.log(1.0 / reach)) + 1.0
    (weights, over), (_, under) = at(low), at(high)
    if over <= 0:  # |g_w| is nil: stationary
        return weights
    for round_ in range(60):
        middle = (low * under - high * over) / (under - over) if round_ % 3 else (low + high) / 2
        weights, gap = at(middle)
        if abs(gap) < 1e-10 or high - low < 1e-12:
            break
        low, over, high, under = (middle, gap, high, under) if gap > 0 else (low, over, middle, gap)
    return weights


class CAGrad(GramSolver):
    Config = CAGradConfig
    revision = 1

    def __init__(self, config: CAGradConfig):
        self.config = config

    def __call__(self, seen: Seen) -> Vector:
        assert seen.gram is not None
        c = self.config.c
        weights = len(seen.names) * cagrad(seen.gram, c)
        return weights / (1 + c * c) if self.config.rescale else weights
