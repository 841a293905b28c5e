"""The normal and chi-square distributions, on arrays. The one file that loads scipy's special functions, when they are asked for:
what answers requests seldom does."""

from typing import Any

import numpy as np

from headrace.contracts.requests import Float64


def below(z: Any) -> Float64:
    """P(Z <= z)."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z), np.float64)


def quantile(p: Any) -> Float64:
    """The z with P(Z <= z) = p."""
    from scipy.special import ndtri

    return np.asarray(ndtri(p), np.float64)


def two_sided(z: Any) -> Float64:
    """P(|Z| >= |z|)."""
    return 2.0 * below(-np.abs(z))


def chi_square_above(statistic: float, degrees: int) -> float:
    """P(X >= statistic) for chi-square with that many degrees of freedom."""
    from scipy.special import chdtrc

    return float(chdtrc(degrees, statistic))
