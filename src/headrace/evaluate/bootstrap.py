"""Intervals and paired tests by resampling users.

    value of a user    mean over the user's requests, so a busy user counts no more than a quiet one
    resample           draw as many users as there are, with replacement; the figure is their mean
    interval           the 2.5% and 97.5% points of the resampled figures
    p, two-sided       2 (1 + resamples on the other side of 0) / (1 + resamples), at most 1: never 0

Methods are compared on the same resamples, so what users have in common cancels. Two limits are kept in view: one user has
no interval (NaN), and p does not fall under 2^(1 - users), the least that any test by sign can show with so few.

Shapes: users [R]; values [R, M], one column a figure; resampled [B, M]. Cost O(B (U + U M)), memory bounded by blocks.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16; Holm, Scand. J. Statist. 1979.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64, Int32, Int64
from headrace.contracts.rng import rng

_DRAWN = 1 << 20
COVERAGE = 0.95


@dataclass(frozen=True)
class Means:
    """value, lo, hi [M] over n users; resampled [B, M]. (Ratios over users have the same shape.)"""

    value: Float64
    lo: Float64
    hi: Float64
    n: int
    resampled: Float64

    def columns(self, which: slice | list[int]) -> "Means":
        return Means(self.value[which], self.lo[which], self.hi[which], self.n, self.resampled[:, which])


@dataclass(frozen=True)
class Difference:
    """method - baseline on the same users."""

    value: float
    lo: float
    hi: float
    p: float
    n: int


def by_user(users: Int32 | Int64, values: Float64) -> tuple[Int64, Float64]:
    """The users in order [U], and each one's mean over their rows [U, M]."""
    ids, row = np.unique(users.astype(np.int64), return_inverse=True)
    counts = np.bincount(row, minlength=len(ids))
    totals = [np.bincount(row, column, minlength=len(ids)) for column in values.T]
    return ids, np.stack(totals, axis=1) / counts[:, None]


def draws(n: int, *, resamples: int, seed: int, width: int = 0) -> Iterator[tuple[slice, Float64]]:
    """How often each of n users is drawn, a block of resamples [b, n] at a time. width: of what the caller makes of each.

    Equal (n, resamples, seed, width) draw the same users.
    """
    stream = rng(seed, "bootstrap", n)
    step = max(1, _DRAWN // max(n, width))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = stream.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        yield slice(start, start + rows), np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def resampled_sums(values: Float64, *, resamples: int, seed: int) -> Float64:
    """Sums of values [U, M] over `resamples` draws of U users, [B, M]. Equal (U, resamples, seed) draw the same users."""
    sums = np.empty((resamples, values.shape[1]))
    for rows, counts in draws(len(values), resamples=resamples, seed=seed):
        sums[rows] = counts @ values
    return sums


def mean_intervals(users: Int32 | Int64, values: Float64, *, resamples: int = 2000, seed: int = 0) -> Means:
    """values [R, M] without NaN: leave out the requests a figure is not defined for."""
    if not len(values):
        raise DataError("bootstrap: there are no users, so there is no mean to give.")
    if np.isnan(values).any():
        row = int(np.isnan(values).any(1).argmax())
        raise DataError(f"bootstrap: row {row} is NaN. Leave out requests that have no value.")
    _, per_user = by_user(users, values)
    resampled = resampled_sums(per_user, resamples=resamples, seed=seed) / len(per_user)
    return held(per_user.mean(0), resampled, len(per_user))


def paired_difference(
    users: Int32 | Int64, method: Float64, baseline: Float64, *, resamples: int = 2000, seed: int = 0
) -> Difference:
    """method, baseline [R]: the values of the same requests."""
    if method.shape != baseline.shape:
        raise DataError(f"bootstrap: {len(method)} values against {len(baseline)}; a pair needs the same requests.")
    # the difference is resampled, not the two means subtracted: equal methods then differ by exactly 0
    means = mean_intervals(users, (method - baseline)[:, None], resamples=resamples, seed=seed)
    p = two_sided_p(means.resampled, means.n)
    return Difference(float(means.value[0]), float(means.lo[0]), float(means.hi[0]), float(p[0]), means.n)


def interval(resampled: Float64, n: int) -> tuple[Float64, Float64]:
    """The percentile interval of each column, [M] and [M]; a resample where a ratio had no denominator is NaN and left out."""
    if n < 2:
        return np.full(resampled.shape[1], np.nan), np.full(resampled.shape[1], np.nan)
    tail = (1 - COVERAGE) / 2
    lo, hi = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return lo, hi


def held(value: Float64, resampled: Float64, n: int) -> Means:
    """Each figure with its interval, which holds it: the sums of a constant may be off in the last place."""
    lo, hi = interval(resampled, n)
    return Means(value, np.minimum(lo, value), np.maximum(hi, value), n, resampled)


def two_sided_p(differences: Float64, n: int) -> Float64:
    """For each column of differences [B, M] between two methods on n users, [M]."""
    below, above = (~(differences > 0)).sum(0), (~(differences < 0)).sum(0)  # NaN counts for both sides
    p = 2.0 * (1 + np.minimum(below, above)) / (1 + len(differences))
    bounded: Float64 = np.clip(p, min(1.0, 2.0 ** (1 - n)), 1.0)
    return bounded


def holm(p: Float64) -> Float64:
    """p adjusted for having looked len(p) times: the i-th smallest of m times (m - i + 1), kept in order, at most 1."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted: Float64 = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def enough_resamples(asked: int, comparisons: int) -> int:
    """As asked, or more where Holm over so many comparisons could not reach 0.05 however large the difference."""
    return max(asked, 80 * comparisons)
