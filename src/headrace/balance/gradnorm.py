"""GradNorm: weights learned so that weighed gradients are equally long, longer for the tasks that learn more slowly.

    r_i = (ℓ_i / ℓ_i(0)) / mean_j (ℓ_j / ℓ_j(0)),   target_i = mean_j (w_j n_j) r_i^alpha,   n_i = |g_i|
    w <- w - rate ∂/∂w sum_i |w_i n_i - target_i| / mean_j (w_j n_j),   then scaled to sum to m      (targets are constants)

The division is ours: one rate serves losses of any scale. Losses must be positive. Cost O(m) beside the oracle's.
Use it where tasks learn at different speeds and the run is long. Loses to `multibalance`, which needs no target to be learned, in
short runs. Paper: Chen et al., ICML 2018.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Vector
from headrace.contracts.config import config

LEAST_LOSS, LEAST_WEIGHT = 1e-12, 1e-3


@config
class GradNormConfig(GramConfig):
    alpha: Annotated[float, Ge(0)] = 1.5
    rate: Annotated[float, Gt(0)] = 0.025


class GradNorm(GramSolver):
    """first: each task's loss when it was first seen."""

    Config = GradNormConfig
    revision = 1

    def __init__(self, config: GradNormConfig):
        self.config, self.first, self.weights = config, dict[str, float](), dict[str, float]()

    def __call__(self, seen: Seen) -> Vector:
        assert seen.gram is not None
        losses = np.maximum(seen.losses, LEAST_LOSS)
        for name, loss in zip(seen.names, losses, strict=True):
            self.first.setdefault(name, float(loss))
        weights = np.array([self.weights.get(name, 1.0) for name in seen.names])
        ratios = losses / np.array([self.first[name] for name in seen.names])
        weights = self._moved(weights, np.sqrt(seen.gram.diagonal()), ratios / ratios.mean())
        self.weights |= dict(zip(seen.names, weights.tolist(), strict=True))
        return weights

    def _moved(self, weights: Vector, lengths: Vector, slowness: Vector) -> Vector:
        mean = (weights * lengths).mean()
        above = np.sign(weights * lengths - mean * slowness**self.config.alpha)
        moved = np.maximum(weights - self.config.rate * above * lengths / mean, LEAST_WEIGHT)
        return np.asarray(moved * len(moved) / moved.sum())

    def state_dict(self) -> dict[str, Any]:
        return {"first": dict(self.first), "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.first, self.weights = dict(state["first"]), dict(state["weights"])
