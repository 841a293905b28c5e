"""How many units an effect needs, and which effect so many units can show.

    n of control = inflation (z_{1-α/2} + z_power)² (σ_control² + σ_treatment² / ratio) (1 - ρ²) / effect²

two-sided; ratio is treatment units per control unit; σ² is the variance of one unit's contribution: p (1 - p) for a share
(breadth), the outcome's variance for a mean, (σ_y² - 2 R σ_xy + R² σ_x²) / x̄² for a ratio R = ȳ / x̄ (depth). ρ is the
correlation of that contribution with the CUPED covariate. inflation is what looking early costs (`designs.inflation`).
With α = 0.05, power 0.8 and equal arms this is the rule of thumb 16 σ² / effect² per arm. It is the normal approximation:
below some hundred units per arm, or with a few units that hold most of the total, simulate instead. A non-inferiority margin
is sized by putting it in the place of the effect: what is shown is that the loss is smaller, when there is none.
Sources: Kohavi et al., Controlled experiments on the web, DMKD 2009, section 3.2; Deng et al., CUPED, WSDM 2013.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.normal import below, quantile


@dataclass(frozen=True)
class Population:
    """baseline: control's value. variance(value): of one unit's contribution in an arm whose value is that."""

    baseline: float
    variance: Callable[[float], float]

    @classmethod
    def of_proportion(cls, baseline: float) -> "Population":
        if not 0 < baseline < 1:
            raise ConfigError(f"baseline is {baseline:g}: a share of units lies between 0 and 1.")
        return cls(baseline, lambda value: value * (1 - value))

    @classmethod
    def of_mean(cls, baseline: float, sd: float) -> "Population":
        """sd: between units. For a ratio, of the units' linearised contributions (y - R x) / mean of x."""
        if not sd > 0:
            raise ConfigError(f"sd is {sd:g}: the standard deviation between units is greater than 0.")
        return cls(baseline, lambda _: sd * sd)

    @classmethod
    def of_ratio(cls, mean_y: float, mean_x: float, var_y: float, var_x: float, cov: float) -> "Population":
        """y, x: a unit's sums of numerator and denominator."""
        ratio = mean_y / mean_x
        return cls.of_mean(ratio, math.sqrt((var_y - 2 * ratio * cov + ratio**2 * var_x) / mean_x**2))


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """alpha: two-sided. rho: of CUPED. ratio: treatment units per control unit. inflation: of the design."""

    alpha: float = 0.05
    power: float = 0.8
    rho: float = 0.0
    ratio: float = 1.0
    inflation: float = 1.0

    def __post_init__(self) -> None:
        for name, value, lo in (("alpha", self.alpha, 0.0), ("power", self.power, self.alpha)):
            if not lo < value < 1:
                raise ConfigError(f"{name} is {value:g}, expected more than {lo:g} and less than 1.")
        if not -1 < self.rho < 1:
            raise ConfigError(f"rho is {self.rho:g}: a correlation with the covariate lies between -1 and 1.")
        if not (self.ratio > 0 and self.inflation >= 1):
            raise ConfigError(f"ratio is {self.ratio:g} and inflation {self.inflation:g}, expected ratio > 0 and inflation >= 1.")

    def units(self, population: Population, effect: float) -> int:
        """Of control; of treatment it is `ratio` times that. effect: absolute, of either sign."""
        if effect == 0 or not math.isfinite(effect):
            raise ConfigError(
                f"mde is {effect:g}: no number of units shows an effect of that size. Give the least worth shipping."
            )
        return math.ceil(self.inflation * self._drift**2 * self._spread(population, effect) / effect**2)

    def achieved(self, population: Population, effect: float, units: int) -> float:
        """The power that so many control units have for an effect."""
        drift = abs(effect) * math.sqrt(units / (self.inflation * self._spread(population, effect)))
        return float(below(drift - self._critical) + below(-drift - self._critical))

    def effect(self, population: Population, units: int) -> float:
        """The least effect that so many control units show with that power, upward."""
        least = 0.0
        for _ in range(60):  # the variance moves with the effect, slowly: a fixed point in a few steps
            found = self._drift * math.sqrt(self.inflation * self._spread(population, least) / units)
            if abs(found - least) <= 1e-12 * found:
                break
            least = found
        return least

    @property
    def _critical(self) -> float:
        return float(quantile(1 - self.alpha / 2))

    @property
    def _drift(self) -> float:
        return self._critical + float(quantile(self.power))

    def _spread(self, population: Population, effect: float) -> float:
        treated = population.variance(population.baseline + effect)
        if treated < 0:
            raise ConfigError(f"baseline {population.baseline:g} with an effect of {effect:+g} is no share of units any more.")
        return (population.variance(population.baseline) + treated / self.ratio) * (1 - self.rho**2)


def days(units_per_arm: int, arms: int, daily_units: float, window_days: float = 0.0) -> int:
    """Until that many new units a day have entered equal arms and the last one's window has closed."""
    return math.ceil(units_per_arm * arms / daily_units + window_days)
