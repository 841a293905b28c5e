"""The three designs behind one pair of functions: how far from 0 an effect must be at this look, and p.

    fixed                one look, at the planned units; nothing is said before
    group_sequential     a few looks, Lan-DeMets spending close to O'Brien-Fleming (`sequential`)
    confidence_sequence  any number of looks at any time (`always_valid`)

p is the least α at which this look would stop, so an interval leaves 0 out exactly where p < α, and Holm may be taken over it.
A repeated interval is wider than a single look's: that is what makes it hold at all looks together.
Sources: Jennison and Turnbull, Group Sequential Methods, 1999, chapter 9 (repeated intervals and p); Maurer and Bretz, Multiple
testing in group sequential trials using graphical approaches, Stat. Biopharm. Res. 2013 (Holm over them).
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

from headrace.flywheel.experiment.always_valid import always_valid_p, multiplier
from headrace.flywheel.experiment.normal import quantile, two_sided
from headrace.flywheel.experiment.sequential import bisect, crossing, equal, spending

Design = Literal["fixed", "group_sequential", "confidence_sequence"]


@dataclass(frozen=True, kw_only=True)
class Look:
    """units: analysed in the two arms compared. planned: at the end. earlier: units at the looks before this one, rising.

    last: nothing follows, whether or not the planned units were reached. burn_in: of a confidence sequence.
    """

    units: int
    planned: int
    earlier: tuple[int, ...] = ()
    last: bool = False
    burn_in: int = 0

    @property
    def ends(self) -> bool:
        return self.last or self.units >= self.planned


def critical(design: Design, alpha: float, look: Look) -> float:
    """The |z| from which this look stops, two-sided; infinite where it may not say anything."""
    if design == "fixed":
        return float(quantile(1 - alpha / 2)) if look.ends else math.inf
    if design == "group_sequential":
        return float(spending([*look.earlier, look.units], alpha, planned=look.planned, last=look.ends)[-1])
    return float(multiplier(look.units, look.planned, alpha)) if look.units >= look.burn_in else math.inf


def p_value(design: Design, alpha: float, look: Look, z: float) -> float:
    """alpha: the plan's, which a confidence sequence is tuned for."""
    if design == "fixed":
        return float(two_sided(z)) if look.ends else 1.0
    if design == "group_sequential":
        return bisect(lambda level: critical(design, level, look) - abs(z), 0.0, 1.0)
    return float(always_valid_p(z, look.units, look.planned, alpha)) if look.units >= look.burn_in else 1.0


@cache
def inflation(design: Design, alpha: float, power: float, looks: int) -> float:
    """How many times the units of a fixed horizon this design needs at its end, for equal power at equally spaced looks.

    Units on average are fewer than with a fixed horizon where there is an effect: it stops early. See docs/experiments.md.
    """
    if design == "fixed":
        return 1.0
    times = equal(looks)
    criticals = spending(times, alpha) if design == "group_sequential" else multiplier(times, 1.0, alpha)
    fixed = float(quantile(1 - alpha / 2)) + float(quantile(power))
    drift = bisect(lambda drift: power - float(crossing(times, criticals, drift)[-1]), fixed, 4 * fixed)
    return max(1.0, (drift / fixed) ** 2)
