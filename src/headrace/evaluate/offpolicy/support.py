"""Whether the log can speak about the target at all: weights that rest on few rows, and pages the logger never shows.

    effective sample size    (Σ w)² / Σ w²              as many rows of equal weight would know as much; the least slot's
    unsupported mass         target's mass where logged = 0   what it would show and the log can't judge, whatever its size
    mean weight              1 with right propensities and full support, so a mean far below 1 gives missing support away

An estimate is refused (no evidence, with the reason) below `least_ess`, above `most_unsupported`, from a logger without chance,
and where the mean weight says at four standard errors that support is lacking by more than `most_unsupported` or that the logged
propensities are wrong. Cost O(n A) for distributions, O(n S) else.
Source: Kong 1992 and Owen, Monte Carlo theory, methods and examples, 2013, section 9.3 (effective sample size).
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64
from headrace.evaluate.offpolicy.propensities import checked_distribution
from headrace.evaluate.offpolicy.terms import Terms

STANDARD_ERRORS = 4.0  # heavy weights understate their own error, so the check of their mean leaves room


@config
class Limits:
    """least_ess: effective rows an estimate rests on. most_unsupported: share of the target's mass the logger can't show."""

    least_ess: Annotated[float, Ge(0)] = 100.0
    most_unsupported: Annotated[float, Ge(0), Le(1)] = 0.05


NO_LIMITS = Limits(least_ess=0.0, most_unsupported=1.0)


def effective_sample_size(weights: Float64) -> float:
    """weights [n] or [n, S]: the least over slots; 0 where all weights are."""
    weights = weights[:, None] if weights.ndim == 1 else weights
    square = (weights**2).sum(0)
    return float(np.divide(weights.sum(0) ** 2, square, out=np.zeros(len(square)), where=square > 0).min(initial=np.inf))


def unsupported_mass(target: Float64, logged: Float64) -> float:
    """From full distributions over actions, [n, A] each: the mean over rows of the target's mass on what has no chance."""
    target = checked_distribution(target, "target distribution")
    logged = checked_distribution(logged, "logged distribution")
    if target.shape != logged.shape:
        raise DataError(f"the distributions are {target.shape} and {logged.shape}; expected the same actions in both.")
    return float(np.where(logged > 0, 0.0, target).sum(1).mean())


def unsupported_share(logger_log_prob: Float64) -> float:
    """From pages the target drew itself, [n, S]: the share of them that the logger could not have shown (-inf in a slot)."""
    if np.isnan(logger_log_prob).any():
        raise DataError("logger log_prob: some are missing; a page that the logger can't show has -inf.")
    return float(np.isneginf(logger_log_prob).any(1).mean())


def refusal(terms: Terms, ess: float, unsupported: float, limits: Limits) -> str:
    """Why there is no evidence, or nothing. unsupported: NaN where it is not known. ess: NaN where nothing is weighed."""
    if unsupported > limits.most_unsupported:
        return (
            f"{unsupported:.1%} of the target's mass is on actions the logger never shows, above {limits.most_unsupported:.1%}: "
            "explore them in the log first"
        )
    if ess < limits.least_ess:
        return (
            f"the effective sample size is {ess:.1f}, below {limits.least_ess:g}, of {len(terms)} rows: "
            "log more, or judge a policy nearer to the logger"
        )
    return "" if limits.most_unsupported >= 1 else _off_one(terms.ratios, limits.most_unsupported)


def _off_one(ratios: Float64 | None, most: float) -> str:
    if ratios is None or len(ratios) < 2:
        return ""
    mean, error = ratios.mean(0), STANDARD_ERRORS * ratios.std(0, ddof=1) / np.sqrt(len(ratios))
    low, high = mean + error < 1 - most, mean - error > 1 + most
    if low.any():
        return (
            f"the weights average {mean[low.argmax()]:.3f} where full support makes it 1: much of what the target would show "
            "is not in the log"
        )
    if high.any():
        return (
            f"the weights average {mean[high.argmax()]:.3f} where right propensities make it 1: "
            "the logged ones are not of the policy that showed the pages"
        )
    return ""
