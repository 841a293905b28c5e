"""MultiBalance: MGDA's weights on gradients made equally long, with lengths and products averaged over steps.

    n_i <- average of |g_i|,   r_i = n_ref / n_i,   A_ij = r_i r_j <g_i, g_j>,   Ā <- average of A
    λ <- projected on the simplex (λ_i >= least / m):  λ - gamma (Ā + rho I) λ,     or the exact argmin λ' Ā λ
    weight_i = m λ_i r_i

Meant for oracle = "shared": gradients at the representation, one backward through the body (`oracles`). Those are rows of a
batch, so only their lengths and products mean anything from one batch to the next, and only these are averaged. λ stays even
over the first warmup steps. balance = "none" keeps it even: lengths are levelled and nothing else, as MetaBalance does. decay = 0
turns the averages off. Ā is divided by its mean diagonal (by which a step gamma is of one size whatever the losses' scale).
every = k looks at each k-th step alone, and weights stand still in between: those steps cost the plain sum's one backward.
Cost O(m²) a step ("step") or O(m³) ("exact").
Use it where losses differ in scale or in how often they occur. Without either, expect the plain sum's result.
Paper: MultiBalance, arXiv 2411.11871: gradients at the representation, moving averages of their magnitude. The order of the
updates and all constants are our reading; the paper's were not at hand.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from headrace.balance.average import Average, update_matrix
from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Matrix, Vector
from headrace.balance.simplex import projected, shortest
from headrace.contracts.config import config


@config
class MultiBalanceConfig(GramConfig):
    """reference: the length all gradients are brought to: the mean of theirs, the longest, or that of the loss `main`.

    every: steps between two looks; averages and steps on λ are then of looks, warmup of steps.
    """

    balance: Literal["step", "exact", "none"] = "step"
    reference: Literal["mean", "max", "main"] = "mean"
    main: str = ""
    decay: Annotated[float, Ge(0), Lt(1)] = 0.9
    gram_decay: Annotated[float, Ge(0), Lt(1)] = 0.9
    gamma: Annotated[float, Gt(0)] = 0.05
    rho: Annotated[float, Ge(0)] = 1e-3
    least: Annotated[float, Ge(0), Le(1)] = 0.05
    warmup: Annotated[int, Ge(0)] = 500
    every: Annotated[int, Gt(0)] = 1


def stepped(shares: Vector, gram: Matrix, *, gamma: float, rho: float, least: float) -> Vector:
    """λ after one projected gradient step of λ' (A + rho I) λ / 2; no share below least / m."""
    slopes = gram @ shares + rho * shares
    return projected(shares - gamma * slopes, least / len(shares))


class MultiBalance(GramSolver):
    Config = MultiBalanceConfig
    revision = 1

    def __init__(self, config: MultiBalanceConfig):
        self.config, self.steps, self.shares, self.kept = config, 0, dict[str, float](), dict[str, float]()
        self.lengths, self.grams = Average(config.decay), Average(config.gram_decay)

    @property
    def rests(self) -> bool:
        return self.steps % self.config.every > 0

    def __call__(self, seen: Seen) -> Vector:
        if seen.gram is None:
            self.steps += 1
            return np.array([self.kept.get(name, 1.0) for name in seen.names])
        lengths = self.lengths.update(seen.names, np.sqrt(seen.gram.diagonal()))
        scale = self._reference(lengths, seen) / lengths
        gram = update_matrix(self.grams, seen.names, seen.gram * np.outer(scale, scale))
        self.steps += 1
        shares = self._shares(seen, gram / gram.diagonal().mean())
        weights = len(scale) * shares * scale
        if self.config.every > 1:
            self.kept = dict(zip(seen.names, weights.tolist(), strict=True))
        return weights

    def _shares(self, seen: Seen, gram: Matrix) -> Vector:
        m, asked = len(seen.names), self.config
        even = np.full(m, 1 / m)
        if asked.balance == "none" or self.steps <= asked.warmup:
            return even
        if asked.balance == "exact":
            return asked.least / m + (1 - asked.least) * shortest(gram + asked.rho * np.eye(m))
        known = np.array([self.shares.get(name, 1 / m) for name in seen.names])
        moved = stepped(known / known.sum(), gram, gamma=asked.gamma, rho=asked.rho, least=asked.least)
        # of a step with some of the tasks: these share what they had together
        self.shares |= dict(zip(seen.names, (moved * known.sum()).tolist(), strict=True))
        return moved

    def _reference(self, lengths: Vector, seen: Seen) -> float:
        if self.config.reference == "main" and self.config.main in seen.names:
            return float(lengths[list(seen.names).index(self.config.main)])
        return float(lengths.max() if self.config.reference == "max" else lengths.mean())

    def state_dict(self) -> dict[str, Any]:
        averages = {"lengths": self.lengths.state_dict(), "grams": self.grams.state_dict()}
        return averages | {"steps": self.steps, "shares": dict(self.shares), "kept": dict(self.kept)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.lengths.load_state_dict(state["lengths"])
        self.grams.load_state_dict(state["grams"])
        self.steps, self.shares, self.kept = state["steps"], dict(state["shares"]), dict(state.get("kept", {}))
