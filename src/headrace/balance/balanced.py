"""The balancer a trainer sees: an oracle looks, a solver weighs, the oracle descends.

    weights = solver(Seen(names, losses [m], gram [m, m]));   the gradient left in .grad is that of sum_i weight_i · loss_i

A solver is called with the losses that can be weighed, by name, so its state outlives a step in which one is missing:
- a loss or a gradient that is no number leaves its task out of the step: named once in the log, counted in `skipped`. Where all
  are, the plain sum goes through, and the trainer stops with its own error.
  One that sums over micro-batches or ranks leaves nothing out: each of them would have to know of the others;
- a loss without gradient (no row of it in the batch) keeps weight 1, which moves nothing, and the solver doesn't see it;
- one loss alone has nothing to be balanced with: weight 1.
A solver that sees losses alone, or rests in this step, sees no gradient: one that is no number reaches the trainer. Those that
divide by a loss or take its logarithm say `positive`: a loss of 0 is then one without rows, and keeps weight 1 as well.

Solvers' weights sum to about m, so that a rate found for the plain sum is near the right one for all of them.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from headrace.balance.leaves import leaves
from headrace.balance.oracles import Matrix, Oracle, Vector
from headrace.balance.zeroth import products
from headrace.contracts.seams import Reevaluate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """Of the losses to be weighed. gram: None where the oracle saw no gradients. every: the names of all losses of the step."""

    names: Sequence[str]
    losses: Vector
    gram: Matrix | None
    every: Sequence[str]


class Solver(Protocol):
    """One with state has state_dict and load_state_dict. One that looks at some steps alone has `rests`: whether the next is not.

    One that looks at the losses again after the step has `looks` (whether after this one) and after(names, before, after); one
    that does so along the gradient, before it, has `probes` (an epsilon, or 0) and probed(names, losses, products).
    """

    accumulates: bool
    mixed_precision: bool

    def __call__(self, seen: Seen) -> Vector: ...


class Balanced:
    def __init__(self, oracle: Oracle, solver: Solver):
        self.oracle, self.solver = oracle, solver
        self.accumulates, self.mixed_precision = solver.accumulates, solver.mixed_precision
        self.skipped, self.left_out = dict[str, int](), tuple[str, ...]()
        self.before = dict[str, float]()

    def backward(self, losses: Mapping[str, Tensor], shared: Tensor | None, reevaluate: Reevaluate) -> Mapping[str, float]:
        names, values = list(losses), np.array(torch.stack([loss.detach() for loss in losses.values()]).tolist())
        see = self.oracle.unlooked if getattr(self.solver, "rests", False) else self.oracle
        look = see(list(losses.values()), shared)
        moves = np.array([float(loss.requires_grad) for loss in losses.values()])
        lengths = moves if look.gram is None else look.gram.diagonal()
        finite = (np.isfinite(values) & np.isfinite(lengths)) | self.accumulates
        self.left_out = tuple(name for name, good in zip(names, finite, strict=True) if not good) if finite.any() else ()
        self._count()
        weights: list[float | None] = [1.0 if good or not finite.any() else None for good in finite]
        weighed = np.flatnonzero(finite & (lengths > 0) & ((values > 0) | (not getattr(self.solver, "positive", False))))
        if len(weighed) > 1 or (look.gram is None and len(weighed)):
            gram = None if look.gram is None else look.gram[np.ix_(weighed, weighed)]
            solved = self.solver(Seen([names[task] for task in weighed], values[weighed], gram, names))
            for task, weight in zip(weighed, solved, strict=True):
                weights[task] = float(weight)
        self.before = {names[task]: float(values[task]) for task in weighed}
        reached = leaves(torch.stack(list(losses.values())).sum()) if getattr(self.solver, "probes", 0.0) else []
        look.descend(weights)
        self._probe(reached, reevaluate)
        return {name: _told(weight) for name, weight in zip(names, weights, strict=True)}

    def after_step(self, reevaluate: Reevaluate) -> None:
        solver: Any = self.solver
        if not getattr(solver, "looks", False) or not self.before:
            return
        after = {name: value for name, value in reevaluate().items() if name in self.before and np.isfinite(value)}
        names = list(after)
        solver.after(names, np.array([self.before[name] for name in names]), np.array(list(after.values())))

    def _probe(self, parameters: Sequence[Tensor], reevaluate: Reevaluate) -> None:
        solver: Any = self.solver
        if not self.before or not getattr(solver, "probes", 0.0):
            return
        h = products(parameters, self.before, reevaluate, epsilon=solver.probes)
        if np.isfinite(h).all():
            solver.probed(list(self.before), np.array(list(self.before.values())), h)

    def state_dict(self) -> dict[str, Any]:
        own = self.solver.state_dict() if hasattr(self.solver, "state_dict") else {}
        return {"skipped": dict(self.skipped), "solver": own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.skipped = dict(state["skipped"])
        if hasattr(self.solver, "load_state_dict"):
            self.solver.load_state_dict(state["solver"])

    def _count(self) -> None:
        for name in self.left_out:
            if name not in self.skipped:
                log.warning(
                    "%s: its loss or gradient is not finite, so this step goes without it; further ones are counted", name
                )
            self.skipped[name] = self.skipped.get(name, 0) + 1


def _told(weight: float | None) -> float:
    return 0.0 if weight is None else weight
