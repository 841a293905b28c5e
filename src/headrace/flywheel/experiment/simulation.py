"""Units whose true effect is known, to see whether a method keeps its promises: A/A for the error rate, A/B for the power.

    taste of a unit      g ~ Gamma(1, 1)                          heavy-tailed: most do little, some do much
    before exposure      c ~ Poisson(rate g)                      what CUPED takes
    engages              e ~ Bernoulli(1 - exp(-rate g))
    engagement           y = e (1 + Poisson(rate g (1 + lift)))

y and c share the taste, so CUPED has something to explain; y is zero for many, and per engaged unit it is a ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng
from headrace.flywheel.experiment.metrics import Effect, Sample, effect


@dataclass(frozen=True)
class Arms:
    """y, c [runs, units] of treatment and control."""

    treatment: Sample
    control: Sample

    def as_breadth(self) -> "Arms":
        return Arms(*(Sample((arm.y > 0).astype(np.float64)) for arm in (self.treatment, self.control)))

    def as_depth(self, cuped: bool = False) -> "Arms":
        arms = (self.treatment, self.control)
        return Arms(*(Sample(arm.y, (arm.y > 0).astype(np.float64), arm.c if cuped else None) for arm in arms))

    def as_mean(self) -> "Arms":
        return Arms(*(Sample(arm.y) for arm in (self.treatment, self.control)))

    def effect(self, units: int | None = None) -> Effect:
        """Of the first so many units of each arm, [runs]."""
        first = (..., slice(units))
        return effect(self.treatment.take(first), self.control.take(first))

    def z(self, looks: Sequence[int]) -> Float64:
        """z at each look, [runs, looks]. looks: units per arm."""
        return np.stack([self.effect(units).z for units in looks], axis=-1)


def engagement(runs: int, units: int, *, seed: int, lift: float = 0.0, rate: float = 1.0) -> Arms:
    """lift: on the engagement of treated units that engage."""
    stream = rng(seed, "experiment", runs, units, lift, rate)

    def arm(by: float) -> Sample:
        taste = rate * stream.exponential(size=(runs, units))
        before = stream.poisson(taste).astype(np.float64)
        engages = stream.random((runs, units)) < -np.expm1(-taste)
        return Sample(engages * (1.0 + stream.poisson(taste * (1 + by))), None, before)

    return Arms(arm(lift), arm(0.0))
