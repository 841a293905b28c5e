"""What two stages of selection do to the data they leave behind: the smallest world in which a cascade biases itself.

    true logit        s ~ N(mean, 1),  p = σ(s),  a positive label with chance p
    stage 1 sees      x1 = s + N(0, noise1²), keeps the top `considered` of `candidates`
    stage 2 sees      x2 = s + N(0, noise2²) too, shows the top `shown` by the precision-weighted mean of both

Everything is known of every candidate, so a model's calibration can be read where it will score (the pool, what is considered)
and not only where it was taught (what was shown). `explore`: the share of shown slots given to uniform draws of the pool.
Shapes: R requests, N candidates: all arrays [R, N]. Cost O(R N). The world of `headrace world make` has users, items and time;
this one has none of them, so that a formula can be checked against it.
Source: our derivation of the analysis behind Liu et al., arXiv 2502.06834 (unified distillation and semi-supervised learning).
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.polynomial.hermite_e import hermegauss

from headrace.contracts.config import config
from headrace.contracts.requests import Bool, Float64
from headrace.contracts.rng import rng


@config
class SelectionConfig:
    """noise1, noise2: how blurred each stage sees the logit, in logits."""

    requests: Annotated[int, Gt(0)] = 3000
    candidates: Annotated[int, Gt(1)] = 200
    considered: Annotated[int, Gt(0)] = 40
    shown: Annotated[int, Gt(0)] = 4
    mean: float = -3.0
    noise1: Annotated[float, Gt(0)] = 1.0
    noise2: Annotated[float, Gt(0)] = 0.5
    explore: Annotated[float, Ge(0), Le(1)] = 0.0


@dataclass(frozen=True)
class Selected:
    """p: the truth. label: 0 or 1 of every candidate, shown or not; what a log would hold is label where shown."""

    x1: Float64
    x2: Float64
    p: Float64
    label: Bool
    considered: Bool
    shown: Bool


def select(settings: SelectionConfig, seed: int, *names: object) -> Selected:
    draw = rng(seed, "selection", *names)
    shape = settings.requests, settings.candidates
    s = draw.normal(settings.mean, 1.0, shape)
    x1, x2 = s + draw.normal(0.0, settings.noise1, shape), s + draw.normal(0.0, settings.noise2, shape)
    p = sigmoid(s)
    label = draw.random(shape) < p
    considered = top(x1, settings.considered)
    trust1, trust2 = settings.noise1**-2, settings.noise2**-2
    both = (trust1 * x1 + trust2 * x2) / (trust1 + trust2)
    explored = draw.random((settings.requests, settings.shown)) < settings.explore
    shown = _filled(np.where(considered, both, -np.inf), draw.random(shape), explored)
    return Selected(x1, x2, p, label, considered, shown)


def _filled(score: Float64, chance: Float64, explored: Bool) -> Bool:
    """The best of a request, but as many uniform draws of its pool as slots were explored. No item is shown twice."""
    drawn = top(chance, explored.sum(1))
    return drawn | top(np.where(drawn, -np.inf, score), explored.shape[1] - explored.sum(1))


def top(scores: Float64, k: int | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Bool:
    """The k best of each row, [R, N]; k a number, or one a row."""
    order = np.argsort(-scores, axis=1)
    ranked = np.empty_like(order)
    np.put_along_axis(ranked, order, np.arange(scores.shape[1])[None], axis=1)
    return ranked < np.reshape(k, (-1, 1))


def posterior_mean(x: Float64, noise: float, mean: float = -3.0) -> Float64:
    """E[σ(s) | x] for s ~ N(mean, 1) seen as x = s + N(0, noise²): what a calibrated model of x predicts. 40 nodes."""
    nodes, weights = hermegauss(40)
    variance = noise**2 / (1 + noise**2)
    centre = (mean * noise**2 + x) / (1 + noise**2)
    expected: Float64 = sigmoid(centre[..., None] + np.sqrt(variance) * nodes) @ (weights / weights.sum())
    return expected


def sigmoid(x: Float64) -> Float64:
    return 0.5 * (1 + np.tanh(0.5 * x))
