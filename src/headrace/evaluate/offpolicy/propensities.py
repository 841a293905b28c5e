"""Chances as they come from a log, refused where they can't be what they say; and how much likelier the target makes a row.

    ratio = target / logged        in logs: exp(target_log_prob - logged_log_prob)

A logged propensity is in (0, 1]. Zero, missing, negative, above 1 or not a number is an error that names the row, never read as
1: the row could not have been logged, or nobody knows how likely it was. The target's own chance may be 0 (log: -inf).

Shapes: any, rows first; the message names row, slot. Cost O(size).
"""

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float64

ROUNDING = 1e-9  # a chance that came through a logarithm and back
SUM_WITHIN = 1e-6


def checked_propensities(logged: Float64, name: str = "logged propensity") -> Float64:
    """The logged chances of what was shown, as float64."""
    logged = np.asarray(logged, np.float64)
    _refuse(np.isnan(logged), logged, name, "is missing", "Log it when the page is drawn, or leave such rows out")
    _refuse(logged <= 0, logged, name, "is not above 0", "What was shown had a chance: look at how it was logged")
    _refuse(logged > 1 + ROUNDING, logged, name, "is above 1", "Expected a probability, not a score or a density")
    return logged


def checked_chances(target: Float64, name: str = "target propensity") -> Float64:
    """The target's chances of what was shown, 0 allowed."""
    target = np.asarray(target, np.float64)
    _refuse(np.isnan(target), target, name, "is missing", "The target policy must give every logged action a probability")
    _refuse((target < 0) | (target > 1 + ROUNDING), target, name, "is outside 0 to 1", "Expected a probability")
    return target


def checked_distribution(chances: Float64, name: str) -> Float64:
    """chances [n, A] of all actions, each row summing to 1 within 1e-6."""
    chances = checked_chances(chances, name)
    if chances.ndim != 2:
        raise DataError(f"{name}: shape {chances.shape}; expected a row each and a column an action, [n, A].")
    total = chances.sum(1)
    if (off := np.abs(total - 1) > SUM_WITHIN).any():
        row = int(off.argmax())
        raise DataError(
            f"{name}: row {row} sums to {total[row]:.6g}, not 1, and so do {int(off.sum()) - 1} more of {len(total)}."
        )
    return chances


def ratios(target: Float64, logged: Float64) -> Float64:
    """From probabilities of the logged actions, both [n] or [n, S]."""
    _same_shape(target, logged)
    quotient: Float64 = checked_chances(target) / checked_propensities(logged)
    return quotient


def log_ratios(target_log_prob: Float64, logged_log_prob: Float64) -> Float64:
    """From log-probabilities; -inf where the target would not."""
    _same_shape(target_log_prob, logged_log_prob)
    target, logged = np.asarray(target_log_prob, np.float64), np.asarray(logged_log_prob, np.float64)
    _refuse(np.isnan(logged), logged, "logged log_prob", "is missing", "Log it when the page is drawn, or leave such rows out")
    _refuse(np.isneginf(logged), logged, "logged log_prob", "is a chance of 0", "What was shown had a chance: look at the log")
    _refuse(logged > ROUNDING, logged, "logged log_prob", "is above 0", "Expected the logarithm of a probability")
    _refuse(np.isnan(target), target, "target log_prob", "is missing", "The target policy must give every logged slate one")
    _refuse(target > ROUNDING, target, "target log_prob", "is above 0", "Expected the logarithm of a probability")
    return np.asarray(target - logged)


def _refuse(wrong: Bool, values: Float64, name: str, what: str, advice: str) -> None:
    if not wrong.any():
        return
    place = tuple(int(index[0]) for index in np.nonzero(wrong))
    slot = f", slot {place[1]}" if len(place) > 1 else ""
    count = int(wrong.sum())
    raise DataError(f"{name}: {count} of {wrong.size} {what}, the first in row {place[0]}{slot} ({values[place]:g}). {advice}.")


def _same_shape(target: Float64, logged: Float64) -> None:
    if np.shape(target) != np.shape(logged):
        raise DataError(
            f"the target's chances are {np.shape(target)} and the logged ones {np.shape(logged)}; they must be alike."
        )
