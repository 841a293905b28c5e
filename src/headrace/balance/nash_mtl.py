"""Nash-MTL: the bargain at which each task's weight is one over what it gains: A w = 1 / w, w > 0.

    u = n w (n_i = |g_i|), C = A / n n':   min over u > 0 of  u' C u / 2 - sum log u      (its root is C u = 1 / u)

Solved by damped Newton steps from u = 1, which is the answer for orthogonal gradients; the function is self-concordant, so they
converge from anywhere. Where gradients cancel each other out there is no bargain, and w = 1 / n is taken. It doesn't depend on
the losses' scales. Weights are scaled to sum to m: the direction is Nash's, the step's length is the optimizer's.
Cost about 10 · O(m³), every `every` steps; in between the last weights hold. Use it where no task comes first and scales differ.
Paper: Navon et al., ICML 2022; the solver is ours.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt

from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Matrix, Vector
from headrace.contracts.config import config

STEPS, TOLERANCE, FARTHEST = 100, 1e-10, 1e4


@config
class NashMTLConfig(GramConfig):
    every: Annotated[int, Gt(0)] = 1


def nash_mtl(gram: Matrix) -> Vector:
    """w with A w = 1 / w. A task without gradient gets 0: it has no part in the bargain."""
    lengths = np.sqrt(gram.diagonal())
    there = lengths > 0
    weights = np.zeros(len(gram))
    n = lengths[there]
    weights[there] = _bargain(gram[np.ix_(there, there)] / np.outer(n, n)) / n
    return weights


def _bargain(cosines: Matrix) -> Vector:
    u = np.ones(len(cosines))
    for _ in range(STEPS):
        slope = cosines @ u - 1 / u
        step = np.linalg.solve(cosines + np.diag(1 / (u * u)), slope)
        decrement = sqrt(max(float(slope @ step), 0.0))
        if decrement < TOLERANCE:
            return u
        u = u - step / (1 + decrement if decrement > 0.25 else 1.0)
        if u.max() > FARTHEST:  # they cancel each other out
            break
    return np.ones(len(cosines))


class NashMTL(GramSolver):
    Config = NashMTLConfig
    revision = 1

    def __init__(self, config: NashMTLConfig):
        self.config, self.steps, self.last = config, 0, dict[str, float]()

    def __call__(self, seen: Seen) -> Vector:
        assert seen.gram is not None
        if self.steps % self.config.every == 0 or any(name not in self.last for name in seen.names):
            self.last |= dict(zip(seen.names, nash_mtl(seen.gram).tolist(), strict=True))
        self.steps += 1
        weights = np.array([self.last[name] for name in seen.names])
        return np.asarray(weights * len(weights) / weights.sum())

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "last": dict(self.last)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps, self.last = state["steps"], dict(state["last"])
