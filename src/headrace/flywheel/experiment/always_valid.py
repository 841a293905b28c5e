"""A confidence sequence: an interval that may be looked at after every unit and acted on at any moment.

    radius      se × m(n)
    m(n)        sqrt( 2 (x + 1) / x × log( sqrt(x + 1) / α ) ),   x = n ρ²
    p           the least α whose sequence leaves 0 out:  sqrt(x + 1) exp( -z² x / (2 (x + 1)) ), at most 1

n counts the units of both arms, se is the running standard error of the difference and z the difference over it: n se² takes
the place of the variance of one unit. ρ² = (-2 log α + log(1 - 2 log α)) / n* makes it nearly tightest at n* units, here those
planned. There it is 1.55 times as wide as the interval of a single look (α = 0.05), which is the price of looking at will.

It is asymptotic: the chance that it ever leaves the truth out is at most α once the means of the arms are nearly normal, so
nothing is said before a burn-in (`ExperimentPlan.burn_in` units in all). `sequential` is tighter when the looks are few.
Paper: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Time-uniform central limit theory and asymptotic confidence sequences,
Annals of Statistics 2024, section 2 (the Gaussian mixture boundary and the choice of ρ). Its use on the two arms' difference,
with n se² for the variance, is our reading: the difference is asymptotically a mean over all units of their influence.
"""

from typing import Any

import numpy as np

from headrace.contracts.requests import Float64


def rho_squared(planned: float, alpha: float) -> float:
    """ρ² that is tightest at `planned` units."""
    return float((-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / planned)


def multiplier(units: Any, planned: float, alpha: float) -> Float64:
    """m(n): what the standard error is multiplied with. units: of all arms compared, any shape."""
    x = np.asarray(units, np.float64) * rho_squared(planned, alpha)
    return np.asarray(np.sqrt(2 * (x + 1) / x * np.log(np.sqrt(x + 1) / alpha)), np.float64)


def always_valid_p(z: Any, units: Any, planned: float, tuned_for: float) -> Float64:
    """tuned_for: the α that ρ was chosen with. ρ stays as it is while α varies, else p and interval would disagree."""
    x = np.asarray(units, np.float64) * rho_squared(planned, tuned_for)
    return np.asarray(np.minimum(np.sqrt(x + 1) * np.exp(-0.5 * np.square(z) * x / (x + 1)), 1.0), np.float64)
