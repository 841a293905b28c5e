"""Group-sequential boundaries: look a few times, stop early where the effect is large, keep the promised error rate.

    score at look k      B_k = Z_k sqrt(t_k),  t_k = n_k / n_last;  without effect its increments are independent N(0, Δt)
    stop at look k       |Z_k| >= c_k
    error                P(any |Z_k| >= c_k) = α

The chance of a first exit at each look is found by carrying the density of B over the looks that were passed (Armitage,
McPherson and Rowe): Gauss-Legendre nodes on the continuation region, one matrix product per look.

    O'Brien-Fleming      c_k = C sqrt(K / k), K equal looks, C solved for:                     `obrien_fleming`
    Lan-DeMets spending  spent(t) = 4 (1 - Φ(z_{1-α/4} / sqrt(t))), c_k solved look by look:   `spending`

Spending needs neither the number of looks nor their times beforehand; its boundaries are close to O'Brien-Fleming's. It holds as
long as a look's time is not chosen by what the last one showed. Both are two-sided and symmetric.
Cost O(looks × nodes²) for a set of boundaries, milliseconds. Use it for a few looks; to look at every moment use `always_valid`.
Papers: Armitage, McPherson, Rowe, JRSS A 1969; O'Brien and Fleming, Biometrics 1979; Lan and DeMets, Biometrika 1983.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Float64
from headrace.flywheel.experiment.normal import below, quantile

_NODES_PER_SD = 6  # Gauss-Legendre is exact to 1e-10 with fewer; a test holds the published constants
_FEWEST, _MOST = 48, 2000
_WIDEST = 8.5  # a z that no test reaches: 2e-17


class Walk:
    """B between two boundaries, look by look. drift: the mean of Z at t = 1."""

    def __init__(self, drift: float = 0.0) -> None:
        self.drift, self.at = drift, 0.0
        self._nodes, self._mass = np.zeros(1), np.ones(1)

    def exit(self, t: float, critical: float) -> float:
        """The chance to be inside until now and outside at t."""
        step, edge = t - self.at, min(critical, _WIDEST + abs(self.drift)) * np.sqrt(t)
        reached = self._nodes + self.drift * step
        up, down = below(-(edge - reached) / np.sqrt(step)), below((-edge - reached) / np.sqrt(step))
        return float(self._mass @ (up + down))

    def stay(self, t: float, critical: float) -> None:
        """Go on from t with what is inside."""
        step, edge = t - self.at, min(critical, _WIDEST + abs(self.drift)) * np.sqrt(t)
        sd = np.sqrt(step)
        count = int(np.clip(np.ceil(_NODES_PER_SD * 2 * edge / sd), _FEWEST, _MOST))
        points, weights = _legendre(count)
        nodes = points * edge
        gap = (nodes[:, None] - self._nodes - self.drift * step) / sd
        density = np.exp(-0.5 * gap**2) / (np.sqrt(2 * np.pi) * sd)
        self.at, self._nodes, self._mass = t, nodes, weights * edge * (density @ self._mass)


def crossing(times: Iterable[float], criticals: Iterable[float], drift: float = 0.0) -> Float64:
    """The chance to have stopped by each look, [looks]. times: t_k in (0, 1], rising. drift: E[Z] at t = 1, 0 under no effect."""
    walk, total, stopped = Walk(drift), 0.0, []
    for t, critical in zip(times, criticals, strict=True):
        total += walk.exit(t, critical)
        walk.stay(t, critical)
        stopped.append(total)
    return np.array(stopped)


def obrien_fleming(looks: int, alpha: float = 0.05) -> Float64:
    """c_k at K equally spaced looks, [K]."""
    times = equal(looks)
    shape = np.sqrt(looks / np.arange(1, looks + 1))
    constant = bisect(lambda c: crossing(times, c * shape)[-1] - alpha, 1.0, 6.0)
    return constant * shape


def spent(t: float, alpha: float) -> float:
    """The share of α that may have been used up by information time t: hardly any at first."""
    return float(4 * below(-quantile(1 - alpha / 4) / np.sqrt(t))) if t < 1 else alpha


def spending(information: Sequence[float], alpha: float = 0.05, *, planned: float | None = None, last: bool = True) -> Float64:
    """c_k at looks with that much information (units seen), [looks]. planned: information at the end, the last look's by default.

    last: what is left of α is spent at the last look given, however much was planned; False: only what its time allows.
    An overrun is kept valid: looks are correlated by their true information, α is spent by the planned one.
    """
    if any(b <= a for a, b in zip([0.0, *information], information, strict=False)):
        raise ConfigError(f"looks at {list(information)} units: each must have seen more than the one before.")
    end = planned or information[-1]
    walk, done, criticals = Walk(), 0.0, []
    for place, seen in enumerate(information):
        t = seen / max(information[-1], end)
        allowed = alpha if last and place == len(information) - 1 else spent(min(seen / end, 1.0), alpha)
        more = allowed - done
        # below 1e-15 the integration's own error is larger than what may be spent: no stop at this look
        critical = bisect(lambda c, t=t, more=more: walk.exit(t, c) - more, 0.0, _WIDEST) if more > 1e-15 else np.inf  # type: ignore[misc]
        walk.stay(t, critical)
        done = max(done, allowed)
        criticals.append(critical)
    return np.array(criticals)


def bisect(function: Callable[[float], float], lo: float, hi: float) -> float:
    """The root of a falling function between lo and hi, to 1e-10; the nearer end where it has none."""
    for _ in range(60):
        middle = (lo + hi) / 2
        lo, hi = (middle, hi) if function(middle) > 0 else (lo, middle)
        if hi - lo < 1e-10:
            break
    return (lo + hi) / 2


@cache
def _legendre(count: int) -> tuple[Float64, Float64]:
    points, weights = np.polynomial.legendre.leggauss(count)
    return points, weights


def equal(looks: int) -> list[float]:
    """Information times of equally spaced looks."""
    return [k / looks for k in range(1, looks + 1)]
