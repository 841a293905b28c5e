"""One action a row: what another policy would have earned on it.

r reward, p logged propensity, t the target's chance of the logged action (all [n]), w = t / p; q̂ a model of the reward, as
q_logged [n] for the logged action and v_target [n] = Σ_a t(a) q̂(a) (`expected_reward`). M, tau: the largest weight kept.

    ips           mean w r                                 unbiased with full support; variance grows with max w
    clipped_ips   mean min(w, M) r                         biased down for r >= 0 by what is cut off, in exchange for variance
    snips         Σ w r / Σ w                              biased by O(1 / n); stays in the rewards' range, far steadier than ips
    direct        mean v_target                            no weights; as biased as q̂, and its interval does not know that
    doubly_robust mean v_target + w (r - q_logged)         unbiased if p or q̂ is right; less variance where q̂ explains r
    switch_dr     mean v_target + w 1[w <= tau] (r - q̂)    doubly robust below tau, the model above it

When: snips to begin with; doubly_robust where a model fitted on other rows (cross-fitted) explains rewards; switch_dr where a few
weights rule the sum; clipped_ips for a lower bound that holds at any n (see `estimate`); ips as the reference without choices.
For pages of several slots see `slates`. Cost O(n), `expected_reward` O(n A).
Papers: Horvitz and Thompson, JASA 1952 (ips); Ionides, JCGS 2008 and Bottou et al., JMLR 2013 (clipping); Swaminathan and
Joachims, NeurIPS 2015 (snips); Dudík, Langford and Li, ICML 2011 (doubly robust); Wang, Agarwal and Dudík, ICML 2017 (switch).
"""

import numpy as np

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Float64
from headrace.evaluate.offpolicy.propensities import checked_distribution, ratios
from headrace.evaluate.offpolicy.terms import Terms, checked_rewards, mean_of


def ips(reward: Float64, logged: Float64, target: Float64) -> Terms:
    reward, weight = _columns(reward, logged, target)
    return mean_of("ips", weight * reward, weight, weight)


def clipped_ips(reward: Float64, logged: Float64, target: Float64, *, most: float) -> Terms:
    """most: M. Where rewards are not negative, its mean is at most the target's value, so its lower bounds bound that too."""
    reward, weight = _columns(reward, logged, target)
    kept = np.minimum(weight, _positive(most))
    return mean_of(f"clipped_ips@{most:g}", kept * reward, kept, weight)


def snips(reward: Float64, logged: Float64, target: Float64) -> Terms:
    reward, weight = (column[:, None] for column in _columns(reward, logged, target))
    return Terms("snips", weight * reward, weight, weight, weight)


def direct(v_target: Float64) -> Terms:
    return mean_of("direct", _model(v_target, "v_target", len(v_target)))


def doubly_robust(reward: Float64, logged: Float64, target: Float64, q_logged: Float64, v_target: Float64) -> Terms:
    reward, weight = _columns(reward, logged, target)
    q, v = _model(q_logged, "q_logged", len(reward)), _model(v_target, "v_target", len(reward))
    return mean_of("doubly_robust", v + weight * (reward - q), weight, weight)


def switch_dr(
    reward: Float64, logged: Float64, target: Float64, q_logged: Float64, v_target: Float64, *, tau: float
) -> Terms:  # fmt: skip
    reward, weight = _columns(reward, logged, target)
    q, v = _model(q_logged, "q_logged", len(reward)), _model(v_target, "v_target", len(reward))
    kept = np.where(weight <= _positive(tau), weight, 0.0)
    return mean_of(f"switch_dr@{tau:g}", v + kept * (reward - q), kept, weight)


def expected_reward(q: Float64, target: Float64) -> Float64:
    """v_target [n] from a model's rewards of all actions [n, A] and the target's distribution over them [n, A]."""
    if np.shape(q) != np.shape(target):
        raise DataError(f"q is {np.shape(q)} and the target's distribution {np.shape(target)}; expected both [n, A].")
    value: Float64 = np.einsum("na,na->n", checked_distribution(target, "target distribution"), np.asarray(q, np.float64))
    return value


def _columns(reward: Float64, logged: Float64, target: Float64) -> tuple[Float64, Float64]:
    """Rewards and weights, [n] each."""
    reward, weight = checked_rewards(reward), ratios(target, logged)
    if weight.ndim != 1 or weight.shape != reward.shape:
        raise DataError(f"rewards are {reward.shape} and propensities {weight.shape}; expected [n] both. Pages go to `slates`.")
    return reward, weight


def _model(values: Float64, name: str, rows: int) -> Float64:
    values = np.asarray(values, np.float64)
    if values.shape != (rows,) or not np.isfinite(values).all():
        raise DataError(f"{name}: shape {values.shape}; expected {rows} finite numbers, one a row.")
    return values


def _positive(most: float) -> float:
    if not most > 0:
        raise ConfigError(f"the largest weight kept is {most:g}; expected a number above 0.")
    return most
