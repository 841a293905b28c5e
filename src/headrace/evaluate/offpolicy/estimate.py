"""An estimator's terms with everything a decision needs: standard error, interval, support, or the reason for having none.

The unit is the user, whose rows are alike; value and rows are the log's (a busy user counts as often as they were there).

    std_error   delta method on the users' sums N_uk, D_uk: sqrt(U / (U - 1) Σ_u e_u²), e_u = Σ_k (N_uk - value_k D_uk) / Σ_u D_uk
    normal      value ± 1.96 std_error                      right for many users and light weights
    bootstrap   2.5% and 97.5% points over resampled users  follows skew; like any, blind to heavy rows that were not logged
    bernstein   lower bound at 97.5%: mean - sqrt(2 V log(2/δ) / U) - 7 R log(2/δ) / (3 (U - 1)), for terms in a range of width R

bernstein holds at any number of users, for plain means of bounded terms: clipped weights. With rewards >= 0 clipping only lowers
the mean, so it bounds the target's true value too; its upper end is infinite. It is the bound for a gate.
Cost O(n) and B U for the bootstrap: above some 100,000 users take normal.
Papers: Maurer and Pontil, COLT 2009, theorem 11 (bernstein); Thomas, Theocharous and Ghavamzadeh, AAAI 2015 (its use here).
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Float64, Int32, Int64
from headrace.evaluate.bootstrap import COVERAGE, interval, resampled_sums
from headrace.evaluate.offpolicy.support import Limits, effective_sample_size, refusal
from headrace.evaluate.offpolicy.terms import Terms

Interval = Literal["normal", "bootstrap", "bernstein"]
_NORMAL = 1.959963984540054
_TAIL = (1 - COVERAGE) / 2


@dataclass(frozen=True)
class Estimate:
    """reason: why value, std_error, lo and hi are NaN; empty where they are not. n: users. rows: of the log.

    ess, max_weight: NaN where nothing is weighed (direct). unsupported_mass: NaN where it is not known.
    """

    name: str
    value: float
    std_error: float
    lo: float
    hi: float
    n: int
    rows: int
    ess: float
    max_weight: float
    unsupported_mass: float
    interval: Interval
    reason: str = ""

    @property
    def status(self) -> Literal["evidence", "no_evidence"]:
        return "no_evidence" if self.reason else "evidence"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has neither NaN nor infinity: null there."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in asdict(self).items()
        }


def estimate(
    terms: Terms,
    users: Int32 | Int64 | None = None,
    *,
    how: Interval = "bootstrap",
    bounds: tuple[float, float] | None = None,
    unsupported: float = math.nan,
    limits: Limits | None = None,
    refused: str = "",
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """users [n]: whose row each is; None: each row stands alone. bounds: the least and greatest term possible, for bernstein.

    unsupported: see `support`. refused: a reason known beforehand (`LoggedSlates.refusal`).
    """
    ess = math.nan if terms.weights is None else effective_sample_size(terms.weights)
    most = math.nan if terms.weights is None else float(terms.weights.max())
    sums = user_sums(terms, users)
    reason = refused or refusal(terms, ess, unsupported, limits or Limits())
    value = error = lo = hi = math.nan
    if not reason:
        value, error = terms.value, _std_error(sums)
        lo, hi = _interval(how, terms, sums, value, error, bounds, resamples, seed)
        if math.isnan(value):
            reason = "the weights are all 0: the log holds nothing that the target would show"
    return Estimate(terms.name, value, error, lo, hi, len(sums), len(terms), ess, most, unsupported, how, reason)


def user_sums(terms: Terms, users: Int32 | Int64 | None) -> Float64:
    """Each user's sums of numerators, then of denominators, [U, 2 K]."""
    columns = np.hstack([terms.numerator, terms.denominator])
    if users is None:
        return columns
    if np.shape(users) != (len(terms),):
        raise DataError(f"users are {np.shape(users)} and the estimator has {len(terms)} rows; expected one a row.")
    ids, row = np.unique(users, return_inverse=True)
    return np.stack([np.bincount(row, column, minlength=len(ids)) for column in columns.T], axis=1)


def _std_error(sums: Float64) -> float:
    n = len(sums)
    above, below = np.split(sums, 2, axis=1)
    total = below.sum(0)
    if n < 2 or (total == 0).any():
        return math.nan
    away = ((above - above.sum(0) / total * below) / total).sum(1)
    return float(np.sqrt(n / (n - 1) * (away**2).sum()))


def _interval(
    how: Interval, terms: Terms, sums: Float64, value: float, error: float,
    bounds: tuple[float, float] | None, resamples: int, seed: int,
) -> tuple[float, float]:  # fmt: skip
    if how == "normal":
        return value - _NORMAL * error, value + _NORMAL * error
    if how == "bernstein":
        return _bernstein(terms, sums, bounds), math.inf
    drawn = terms.of_sums(resampled_sums(sums, resamples=resamples, seed=seed))
    if np.isnan(drawn).all():
        return math.nan, math.nan
    lo, hi = interval(drawn[:, None], len(sums))
    return float(lo[0]), float(hi[0])


def _bernstein(terms: Terms, sums: Float64, bounds: tuple[float, float] | None) -> float:
    """A user's part in the mean is U times their sum over the number of rows, which is taken as given."""
    if bounds is None:
        raise ConfigError(f"{terms.name}: bernstein needs bounds, the least and greatest term possible: (0, most * reward_max).")
    if terms.denominator.shape[1] != 1 or (terms.denominator != 1).any():
        raise ConfigError(f"{terms.name}: bernstein is for plain means; take clipped_ips, or another interval.")
    least, greatest = bounds
    low, high = float(terms.numerator.min()), float(terms.numerator.max())
    if low < least or high > greatest:
        raise DataError(f"{terms.name}: terms reach from {low:g} to {high:g}, outside the bounds {least:g} to {greatest:g}.")
    n, rows = len(sums), sums[:, 1]
    if n < 2:
        return math.nan
    parts = (sums[:, 0] - least * rows) * n / rows.sum()  # from 0 to the width below
    width = (greatest - least) * n * rows.max() / rows.sum()
    log = math.log(2 / _TAIL)
    below = math.sqrt(2 * parts.var(ddof=1) * log / n) + 7 * width * log / (3 * (n - 1))
    return float(least + max(parts.mean() - below, 0.0))
