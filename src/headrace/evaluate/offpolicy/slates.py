"""Pages of S slots with a reward in each: what another policy's pages would have earned.

r_s reward of slot s; c_s = target / logged chance of the slot's item *given the slots above it* (a policy's `log_prob`); m_s the
same of its chance at that slot whatever stands above (a marginal); W_s = c_1 ... c_s. An empty slot has chance 1 and reward 0.

    joint          mean W_S Σ_s r_s                     a reward may depend on the whole page; variance grows with S
    interaction    mean Σ_s W_s r_s                     RIPS: a reward depends on its slot and those above (users read downwards)
    self_normalised_interaction  Σ_s (Σ W_s r_s / Σ W_s)    the same, biased by O(1 / n) and far steadier
    independent    mean Σ_s m_s r_s                     a reward depends on item and position alone (position-based clicks)
    cascade_dr     mean Σ_s W_s (r_s - q_s) + W_(s-1) v_s    RIPS with a model: less variance where q explains what is to come

q_logged [n, S]: the modelled reward from slot s on, given the items down to it; v_target [n, S]: its mean over what the target
may put there. Any q leaves cascade_dr unbiased where RIPS is. One slot makes these doubly_robust, snips and ips of `single`.
When: self_normalised_interaction to begin with; cascade_dr with a cross-fitted model; joint only on short pages, to check the
assumption; independent where marginals are known. Each is biased where its assumption fails, and no interval shows that.
Shapes: all [n, S]; log-probabilities of logged items. Cost O(n S). most: weights are cut there, for bounds (see `single`).
Papers: McInerney et al., KDD 2020 (interaction); Li et al., KDD 2018 (independent); Kiyohara et al., WSDM 2022 (cascade_dr).
"""

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64
from headrace.evaluate.offpolicy.propensities import log_ratios
from headrace.evaluate.offpolicy.terms import Terms, checked_rewards, mean_of


def joint(reward: Float64, logged: Float64, target: Float64, *, most: float = np.inf) -> Terms:
    """logged, target: log-probabilities given the slots above."""
    reward, logs = _columns(reward, logged, target)
    weight = np.exp(logs.sum(1))
    kept = np.minimum(weight, most)
    return mean_of(_named("joint", most), kept * reward.sum(1), kept, weight)


def interaction(reward: Float64, logged: Float64, target: Float64, *, most: float = np.inf) -> Terms:
    reward, logs = _columns(reward, logged, target)
    weight = np.exp(logs.cumsum(1))
    kept = np.minimum(weight, most)
    return mean_of(_named("interaction", most), (kept * reward).sum(1), kept, weight)


def self_normalised_interaction(reward: Float64, logged: Float64, target: Float64) -> Terms:
    reward, logs = _columns(reward, logged, target)
    weight = np.exp(logs.cumsum(1))
    return Terms("sn_interaction", weight * reward, weight, weight, weight)


def independent(reward: Float64, logged_marginal: Float64, target_marginal: Float64) -> Terms:
    """Logarithms of p(item at slot). Chances given the slots above stand in for them only where slots are drawn independently."""
    reward, logs = _columns(reward, logged_marginal, target_marginal)
    weight = np.exp(logs)
    return mean_of("independent", (weight * reward).sum(1), weight, weight)


def cascade_dr(reward: Float64, logged: Float64, target: Float64, q_logged: Float64, v_target: Float64) -> Terms:
    reward, logs = _columns(reward, logged, target)
    for name, model in (("q_logged", q_logged), ("v_target", v_target)):
        if np.shape(model) != reward.shape or not np.isfinite(model).all():
            raise DataError(f"{name}: shape {np.shape(model)}; expected {reward.shape} finite numbers, one a slot.")
    weight = np.exp(logs.cumsum(1))
    above = np.hstack([np.ones((len(weight), 1)), weight[:, :-1]])
    return mean_of("cascade_dr", (weight * (reward - q_logged) + above * v_target).sum(1), weight, weight)


def _columns(reward: Float64, logged: Float64, target: Float64) -> tuple[Float64, Float64]:
    """Rewards and logarithms of ratios, [n, S] each."""
    reward, logs = checked_rewards(reward), log_ratios(target, logged)
    if logs.ndim != 2 or logs.shape != reward.shape:
        raise DataError(f"rewards are {reward.shape} and log-probabilities {logs.shape}; expected [n, slots] both.")
    return reward, logs


def _named(name: str, most: float) -> str:
    return name if np.isinf(most) else f"{name}@{most:g}"
