"""FAMO: every task's loss falls by about the same share, from nothing but the losses before and after the step.

    z = softmax(ξ),   weight_i = m (z_i / ℓ_i) / sum_j (z_j / ℓ_j)       the gradient of sum_i z_i log ℓ_i, scaled
    after the step:  ξ <- (1 - rate · decay) ξ - rate J' (log ℓ_i - log ℓ_i'),   J = diag(z) - z z'

A task whose loss fell by more than the weighed mean loses weight. Losses must be positive. Cost: one forward more, whatever m.
Use it with many tasks, where gradients of each are out of reach. It loses where batches are small: the change of a loss in one
step is then mostly noise. `marigold` reads the same two forwards as products of gradients.
Paper: Liu et al., NeurIPS 2023; the same batch before and after.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from headrace.balance.balanced import Seen
from headrace.balance.oracles import Vector
from headrace.contracts.config import config

LEAST_LOSS = 1e-8


@config
class FAMOConfig:
    rate: Annotated[float, Gt(0)] = 0.025
    decay: Annotated[float, Ge(0)] = 1e-3


def softmax(logits: Vector) -> Vector:
    shares = np.exp(logits - logits.max())
    return np.asarray(shares / shares.sum())


class FAMO:
    """Differences of losses a step apart are below bfloat16's 8 bits."""

    Config = FAMOConfig
    revision = 1
    accumulates = False
    positive = True
    mixed_precision = False
    looks = True

    def __init__(self, config: FAMOConfig):
        self.config, self.logits = config, dict[str, float]()

    def __call__(self, seen: Seen) -> Vector:
        raw = softmax(self._logits(seen.names)) / np.maximum(seen.losses, LEAST_LOSS)
        return np.asarray(raw * len(raw) / raw.sum())

    def after(self, names: Sequence[str], before: Vector, after: Vector) -> None:
        if not names:
            return
        logits = self._logits(names)
        shares = softmax(logits)
        fell = np.log(np.maximum(before, LEAST_LOSS)) - np.log(np.maximum(after, LEAST_LOSS))
        moved = (1 - self.config.decay * self.config.rate) * logits - self.config.rate * shares * (fell - shares @ fell)
        self.logits |= dict(zip(names, moved.tolist(), strict=True))

    def _logits(self, names: Sequence[str]) -> Vector:
        return np.array([self.logits.get(name, 0.0) for name in names])

    def state_dict(self) -> dict[str, float]:
        return dict(self.logits)

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.logits = dict(state)
