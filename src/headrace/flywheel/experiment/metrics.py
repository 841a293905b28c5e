"""What an arm is worth: a mean or a ratio over its units, its standard error, and the difference between two arms.

    ratio        R = ȳ / x̄ over the arm's units; its linearised contribution  l = R + (y - R x) / x̄  has mean R and
    se(R)²       Var(l) / n = (σ_y² - 2 R σ_xy + R² σ_x²) / (n x̄²)                                            (the delta method)
    CUPED        l' = l - θ (c - c̄ of both arms),  θ = Cov(l, c) / Var(c), within arms, pooled
    difference   mean l' of treatment - mean l' of control,  se² = se_t² + se_c²  (variances of the arms are not pooled)

A mean is the ratio with x = 1, a share of units (breadth) the mean of y in {0, 1}. Depth is engagement per engaged unit: y the
unit's engagement, x whether it has any. Units are independent, events within a unit are not: that is why sums by unit come in,
and why a ratio's error is not that of its events. c was measured before exposure, so treatment can't move it and the difference
stays unbiased; what c explains leaves the variance: a factor 1 - ρ².

Shapes: y, x, c [..., n], the last axis the units; leading axes are experiments of their own (simulations). Cost O(n).
Depth is a ratio over those who engage, whom the treatment may choose: with a breadth that moves, it is no effect on fixed people.
Papers: Deng, Xu, Kohavi, Walker, WSDM 2013 (CUPED, and section 4 on ratios); Deng, Knoblich, Lu, KDD 2018 (the delta method).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.contracts.requests import Float64


@dataclass(frozen=True)
class Sample:
    """One arm's units: numerator y, denominator x (None: 1 each), covariate c from before exposure (None: no CUPED). [..., n]"""

    y: Float64
    x: Float64 | None = None
    c: Float64 | None = None

    def __len__(self) -> int:
        return int(self.y.shape[-1])

    def take(self, where: Any) -> "Sample":
        """Some units or runs: an index into [..., n]."""
        x, c = (None if part is None else part[where] for part in (self.x, self.c))
        return Sample(self.y[where], x, c)

    def value(self) -> Float64:
        """The mean or ratio [...]; NaN where no unit has a denominator."""
        mean = self.y.mean(-1)
        return mean if self.x is None else _over(mean, self.x.mean(-1))

    def contributions(self) -> Float64:
        """[..., n]: their mean is the value, their variance over n its squared standard error."""
        if self.x is None:
            return self.y
        ratio = self.value()[..., None]
        linear: Float64 = ratio + _over(self.y - ratio * self.x, self.x.mean(-1, keepdims=True))
        return linear


@dataclass(frozen=True)
class Effect:
    """treatment, control: values after CUPED; difference = treatment - control; se: its standard error. All [...].

    theta: CUPED's slope, 0 without a covariate. kept: the variance that CUPED left, as a share.
    """

    treatment: Float64
    control: Float64
    difference: Float64
    se: Float64
    theta: Float64
    kept: Float64

    @property
    def z(self) -> Float64:
        """0 where nothing varies and nothing differs."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(self.difference / self.se, nan=0.0, posinf=np.inf, neginf=-np.inf)


def effect(treatment: Sample, control: Sample) -> Effect:
    """Each arm has two units or more. Either both samples have a covariate or neither."""
    lt, lc = treatment.contributions(), control.contributions()
    raw = _squared_se(lt) + _squared_se(lc)
    if treatment.c is None or control.c is None:
        zero = np.zeros(raw.shape)
        return _effect(lt, lc, raw, raw, zero)
    theta = _slope([(lt, treatment.c), (lc, control.c)])[..., None]
    n_t, n_c = len(treatment), len(control)
    centre = (treatment.c.sum(-1, keepdims=True) + control.c.sum(-1, keepdims=True)) / (n_t + n_c)
    lt, lc = lt - theta * (treatment.c - centre), lc - theta * (control.c - centre)
    return _effect(lt, lc, _squared_se(lt) + _squared_se(lc), raw, theta[..., 0])


def _effect(lt: Float64, lc: Float64, squared_se: Float64, raw: Float64, theta: Float64) -> Effect:
    treatment, control = lt.mean(-1), lc.mean(-1)
    kept = np.where(raw > 0, squared_se / np.where(raw > 0, raw, 1.0), 1.0)
    return Effect(treatment, control, treatment - control, np.sqrt(squared_se), theta, kept)


def _slope(arms: list[tuple[Float64, Float64]]) -> Float64:
    """θ [...]: covariances about each arm's own means, so that an effect is not taken for a slope. 0 for a constant covariate."""
    products = [(c - c.mean(-1, keepdims=True), value) for value, c in arms]
    shared = sum((about * value).sum(-1) for about, value in products)
    own = sum((about * about).sum(-1) for about, _ in products)
    return _over(np.asarray(shared), np.asarray(own), otherwise=0.0)


def _squared_se(contributions: Float64) -> Float64:
    squared: Float64 = contributions.var(-1, ddof=1) / contributions.shape[-1]
    return squared


def _over(part: Float64, whole: Float64, otherwise: float = np.nan) -> Float64:
    there = whole > 0
    return np.asarray(np.where(there, part / np.where(there, whole, 1.0), otherwise), np.float64)
