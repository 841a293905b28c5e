"""MARIGOLD: MGDA's weights without a gradient of any single task: the step itself tells what each would say.

    lower level:  λ* = argmin over the simplex of |d|² / 2,   d = sum_j λ_j ∇ℓ_j;     its slope is  h_i = <∇ℓ_i, d>
    upper level:  θ <- a step along d;     h_i is read off as ℓ_i(θ) - ℓ_i(θ'), the same batch before and after
    λ <- projected on the simplex (λ_i >= least / m):  λ - rate (average of h / size + rho λ)

One forward more every `every` steps, for any number of tasks. Along "step" it is the optimizer's own step that is looked at, so
products are in Adam's metric; along "gradient" θ is moved by -δ d and back (`zeroth`), and h is the Gram matrix times λ, up to
O(δ). relative: of log losses, or the largest loss would rule; weight_i = m (λ_i / ℓ_i) / sum_j (λ_j / ℓ_j), losses positive;
else weight_i = m λ_i.
size: the largest |h| of late, so the rate means the same for all losses. Weights sum to m.
Use it with tasks by the dozen. It loses where batches are small, as FAMO does, whose two forwards are these; with m <= 8 and a
shared representation `multibalance` sees the products themselves for less.
Paper: MARIGOLD, arXiv 2603.07389: bi-level, zeroth-order, all task gradients never formed. The estimator, the step on λ and all
constants are our reading; the paper's were not at hand.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from headrace.balance.average import Average
from headrace.balance.balanced import Seen
from headrace.balance.oracles import Vector
from headrace.balance.simplex import projected
from headrace.contracts.config import config

LEAST_LOSS = 1e-8
FADE = 0.99
"""Of the largest |h|, a step."""


@config
class MarigoldConfig:
    """decay: of the average of h. epsilon: δ as a share of |θ| / |d|, along the gradient."""

    along: Literal["step", "gradient"] = "step"
    relative: bool = True
    rate: Annotated[float, Gt(0)] = 0.1
    rho: Annotated[float, Ge(0)] = 1e-3
    decay: Annotated[float, Ge(0), Lt(1)] = 0.9
    least: Annotated[float, Ge(0), Le(1)] = 0.05
    every: Annotated[int, Gt(0)] = 1
    epsilon: Annotated[float, Gt(0)] = 1e-3


class Marigold:
    """Differences of losses a step apart are below bfloat16's 8 bits."""

    Config = MarigoldConfig
    revision = 1
    accumulates = False
    mixed_precision = False

    def __init__(self, config: MarigoldConfig):
        self.config, self.steps, self.size = config, 0, 0.0
        self.shares, self.slopes = dict[str, float](), Average(config.decay)

    def __call__(self, seen: Seen) -> Vector:
        self.steps += 1
        shares = self._shares(seen.names)
        raw = shares / np.maximum(seen.losses, LEAST_LOSS) if self.config.relative else shares
        return np.asarray(raw * len(raw) / raw.sum())

    @property
    def positive(self) -> bool:
        return self.config.relative

    @property
    def looks(self) -> bool:
        return self.config.along == "step" and self.steps % self.config.every == 0

    @property
    def probes(self) -> float:
        """epsilon where this step is to be looked at along the gradient, else 0."""
        return self.config.epsilon if self.config.along == "gradient" and self.steps % self.config.every == 0 else 0.0

    def after(self, names: Sequence[str], before: Vector, after: Vector) -> None:
        if self.config.relative:
            self.learn(names, np.log(np.maximum(before, LEAST_LOSS)) - np.log(np.maximum(after, LEAST_LOSS)))
        else:
            self.learn(names, before - after)

    def probed(self, names: Sequence[str], losses: Vector, products: Vector) -> None:
        self.learn(names, products / np.maximum(losses, LEAST_LOSS) if self.config.relative else products)

    def learn(self, names: Sequence[str], h: Vector) -> None:
        largest = float(np.abs(h).max(initial=0.0))
        self.size = max(largest, FADE * self.size)
        if not self.size:
            return
        h = self.slopes.update(names, h)
        shares, asked = self._shares(names), self.config
        moved = projected(shares - asked.rate * (h / self.size + asked.rho * shares), asked.least / len(names))
        known = sum(self.shares.get(name, 1 / len(names)) for name in names)
        self.shares |= dict(zip(names, (moved * known).tolist(), strict=True))

    def _shares(self, names: Sequence[str]) -> Vector:
        """λ over these tasks; of a step with some of them, these share what they have together."""
        known = np.array([self.shares.get(name, 1 / len(names)) for name in names])
        return np.asarray(known / known.sum())

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "size": self.size, "shares": dict(self.shares), "slopes": self.slopes.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps, self.size, self.shares = state["steps"], state["size"], dict(state["shares"])
        self.slopes.load_state_dict(state["slopes"])
