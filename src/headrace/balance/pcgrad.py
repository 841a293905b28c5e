"""PCGrad: each gradient gives up what conflicts with the others, one after the other in a random order; then they are summed.

    for i, for j in random order: if <p_i, g_j> < 0:   p_i <- p_i - <p_i, g_j> / |g_j|² g_j;      d = sum_i p_i

p_i stays a combination of the gradients, so all of it is done on the Gram matrix. The order is a function of (seed, step).
Cost O(m³). Use it where conflicts are rare and few tasks are at hand: without conflict it is the plain sum, and nothing is lost.
It does nothing about one loss being larger than another, which is the usual trouble: `multibalance` does.
Paper: Yu et al., NeurIPS 2020.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Matrix, Vector
from headrace.contracts.config import config
from headrace.contracts.rng import rng


@config
class PCGradConfig(GramConfig):
    seed: int = 0


def pcgrad(gram: Matrix, orders: Sequence[Sequence[int]]) -> Vector:
    """orders: for each task, the tasks in the order in which it meets them."""
    weights = np.eye(len(gram))
    for task, order in enumerate(orders):
        mine = weights[task]
        for other in order:
            product = gram[other] @ mine
            if other != task and product < 0:
                mine[other] -= product / gram[other, other]
    return np.asarray(weights.sum(0))


class PCGrad(GramSolver):
    Config = PCGradConfig
    revision = 1

    def __init__(self, config: PCGradConfig):
        self.config, self.steps = config, 0

    def __call__(self, seen: Seen) -> Vector:
        assert seen.gram is not None
        draw = rng(self.config.seed, "pcgrad", self.steps)
        self.steps += 1
        return pcgrad(seen.gram, [draw.permutation(len(seen.names)).tolist() for _ in seen.names])

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.steps = state["steps"]
