"""Uncertainty weighting: each loss is divided by a variance that is learned beside it.

    sum_i exp(-s_i) ℓ_i + s_i,    s_i <- s_i - rate (1 - exp(-s_i) ℓ_i);       weight_i = exp(-s_i), from s = 0

At rest exp(s_i) = ℓ_i, so it weighs by one over the loss's own running size. The paper's ½ before s_i, for regressions, is a
factor in s. Cost O(m): no gradient of a single loss is needed. Losses should be positive; s is kept within ±10.
Use it to level losses of different scales for nothing. It sees no conflict, and a loss that is large because it is hard is made
light. Paper: Kendall, Gal and Cipolla, CVPR 2018.
"""

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from headrace.balance.balanced import Seen
from headrace.balance.oracles import Vector
from headrace.contracts.config import config

BOUND = 10.0


@config
class UncertaintyConfig:
    rate: Annotated[float, Gt(0), Le(1)] = 0.025


class Uncertainty:
    """A micro-batch's share would move s as a whole step does, so it can't accumulate. Losses survive bfloat16 forwards."""

    Config = UncertaintyConfig
    revision = 1
    accumulates = False
    positive = True
    mixed_precision = True

    def __init__(self, config: UncertaintyConfig):
        self.config, self.log_variances = config, dict[str, float]()

    def __call__(self, seen: Seen) -> Vector:
        s = np.array([self.log_variances.get(name, 0.0) for name in seen.names])
        weights = np.exp(-s)
        # a loss far above its variance moves it by one at most: exp would throw it to the bound
        moved = s - self.config.rate * np.clip(1 - weights * seen.losses, -1 / self.config.rate, 1)
        self.log_variances |= dict(zip(seen.names, np.clip(moved, -BOUND, BOUND).tolist(), strict=True))
        return np.asarray(weights)

    def state_dict(self) -> dict[str, float]:
        return dict(self.log_variances)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.log_variances = dict(state)
