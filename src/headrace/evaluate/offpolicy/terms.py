"""What an estimator says of each row: the one shape that values, standard errors, intervals and differences are made from.

    value = sum over columns k of  (sum over rows of numerator[:, k]) / (sum over rows of denominator[:, k])

One column of ones below is a mean over rows (IPS, DR); weights below are self-normalisation; a column a slot is a sum of ratios.
Two estimates of the same rows are subtracted row by row, so what they share cancels in the interval.
"""

from dataclasses import dataclass

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64


@dataclass(frozen=True)
class Terms:
    """numerator, denominator [n, K]. weights [n, W]: as used, for the effective sample size, None where nothing is weighed.

    ratios [n, W]: unclipped; with full support and right propensities each column's mean is 1 but for chance.
    """

    name: str
    numerator: Float64
    denominator: Float64
    weights: Float64 | None = None
    ratios: Float64 | None = None

    def __len__(self) -> int:
        return len(self.numerator)

    @property
    def value(self) -> float:
        return float(self.of_sums(np.concatenate([self.numerator.sum(0), self.denominator.sum(0)])[None])[0])

    def of_sums(self, sums: Float64) -> Float64:
        """Sums of numerators, then of denominators [B, 2 K] -> values [B], NaN where a denominator is 0."""
        above, below = np.split(sums, 2, axis=1)
        parts = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0)
        value: Float64 = parts.sum(1)
        return value

    def __sub__(self, other: "Terms") -> "Terms":
        """The difference on the same rows: a target against what was shown, or against another target."""
        if len(self) != len(other):
            raise DataError(f"{self.name} has {len(self)} rows and {other.name} {len(other)}; a difference needs the same ones.")
        numerator, denominator = self.numerator, self.denominator
        if np.array_equal(denominator, other.denominator):  # equal estimators then differ by exactly 0
            numerator = numerator - other.numerator
        else:
            numerator, denominator = np.hstack([numerator, -other.numerator]), np.hstack([denominator, other.denominator])
        weights, ratios = _beside(self.weights, other.weights), _beside(self.ratios, other.ratios)
        return Terms(f"{self.name} - {other.name}", numerator, denominator, weights, ratios)


def mean_of(name: str, values: Float64, weights: Float64 | None = None, ratios: Float64 | None = None) -> Terms:
    """An estimator that is a plain mean of values [n]."""
    values = np.asarray(values, np.float64)
    return Terms(name, values[:, None], np.ones((len(values), 1)), _columns(weights), _columns(ratios))


def on_policy(reward: Float64) -> Terms:
    """What the logger itself earned: the mean of rewards [n], or of their sums over slots [n, S]."""
    reward = checked_rewards(reward)
    return mean_of("on-policy", reward.sum(1) if reward.ndim > 1 else reward)


def checked_rewards(reward: Float64) -> Float64:
    reward = np.asarray(reward, np.float64)
    if not len(reward):
        raise DataError("off-policy: there are no rows, so there is nothing to estimate from.")
    if not np.isfinite(reward).all():
        row = int(np.argwhere(~np.isfinite(reward))[0][0])
        raise DataError(f"reward: row {row} is not a finite number. Leave out rows whose outcome is not known yet.")
    return reward


def _columns(values: Float64 | None) -> Float64 | None:
    return values[:, None] if values is not None and values.ndim == 1 else values


def _beside(one: Float64 | None, other: Float64 | None) -> Float64 | None:
    there = [values for values in (one, other) if values is not None]
    return np.hstack(there) if there else None
