"""Metrics of predicted probabilities, for scorers: do they order, and do they mean what they say?

    auc                 P(score of a positive > score of a negative), ties count half (Mann-Whitney)
    gauc                sum of impressions x AUC / sum of impressions, over users who have both classes
    log_loss            mean of -y log p - (1 - y) log(1 - p), in nats
    normalized_entropy  log_loss / entropy of the base rate of the same rows; the constant base rate scores 1
    calibration_ratio   sum of p / sum of y; above 1 predicts too much
    ece                 mean over bins of equal mass of |mean p - mean y|, weighed by the bin's rows

Shapes: labels [N] of 0 and 1; predictions [N] in [0, 1] (auc and gauc take any score); users [N]. Cost O(N log N) for the
orders, O(N) for the rest. AUC across users rewards knowing who clicks; gauc rewards knowing what they click, which is what
a ranker is for. Source: He et al., ADKDD 2014 (normalized entropy); Zhu et al., KDD 2017 (GAUC).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float64, Int64

Numbers = NDArray[Any]

_TINY = 1e-12  # a certain and wrong prediction costs 27.6 nats, not infinity


def auc(labels: Numbers, scores: Numbers) -> float:
    value = float(gauc(np.zeros(len(labels), np.int64), labels, scores).values[0]) if len(labels) else np.nan
    if np.isnan(value):
        raise DataError(f"auc needs both classes; {int(np.sum(labels))} of {len(labels)} labels are positive.")
    return value


@dataclass(frozen=True)
class GroupedAUC:
    """users, values, impressions [U], by user number; a value is NaN where the user has one class only."""

    users: Int64
    values: Float64
    impressions: Int64

    @property
    def kept(self) -> Bool:
        return ~np.isnan(self.values)

    @property
    def gauc(self) -> float:
        if not self.kept.any():
            raise DataError(f"gauc needs a user with both classes; none of {len(self.users)} has them.")
        return float(np.average(self.values[self.kept], weights=self.impressions[self.kept]))

    @property
    def n_users(self) -> int:
        return int(self.kept.sum())

    @property
    def n_dropped(self) -> int:
        """Users with one class only: they have no order to get right."""
        return int((~self.kept).sum())


def gauc(users: Numbers, labels: Numbers, scores: Numbers) -> GroupedAUC:
    """The AUC inside each user, all in one sort. Read `.gauc`, and say `.n_users` and `.n_dropped` with it."""
    labels, scores = _labels(labels, scores), np.asarray(scores, np.float64)
    if np.isnan(scores).any():
        raise DataError(f"scores: row {int(np.isnan(scores).argmax())} is NaN.")
    ids, group = np.unique(users, return_inverse=True)
    order = np.lexsort((scores, group))
    group, labels, scores = group[order], labels[order], scores[order]
    tied = np.cumsum(np.append(True, (group[1:] != group[:-1]) | (scores[1:] != scores[:-1]))[: len(group)]) - 1
    sizes = np.bincount(tied) if len(tied) else np.zeros(0, np.int64)
    below = np.cumsum(sizes) - sizes
    impressions = np.bincount(group, minlength=len(ids))
    first = np.cumsum(impressions) - impressions
    ranks = (below + (sizes + 1) / 2)[tied] - first[group]  # a tie shares the mean of its ranks
    positives = np.bincount(group, labels, minlength=len(ids))
    pairs = positives * (impressions - positives)
    wins = np.bincount(group, ranks * labels, minlength=len(ids)) - positives * (positives + 1) / 2
    values = np.divide(wins, pairs, out=np.full(len(ids), np.nan), where=pairs > 0)
    return GroupedAUC(ids, values, impressions)


def log_losses(labels: Numbers, predictions: Numbers) -> Float64:
    """Each row's loss in nats, [N]."""
    labels, p = _labels(labels, predictions), np.asarray(predictions, np.float64)
    outside = ~((p >= 0) & (p <= 1))
    if outside.any():
        row = int(outside.argmax())
        raise DataError(f"predictions: row {row} is {p[row]}; expected a probability. Apply the sigmoid to logits first.")
    losses: Float64 = -np.log(np.maximum(np.where(labels > 0, p, 1.0 - p), _TINY))
    return losses


def log_loss(labels: Numbers, predictions: Numbers) -> float:
    return float(_filled(log_losses(labels, predictions)).mean())


def entropy(rate: Float64 | float) -> Float64:
    """Of a coin with this rate, in nats; 0 at 0 and at 1."""
    rate = np.asarray(rate, np.float64)
    inside = np.clip(rate, _TINY, 1 - _TINY)
    return np.where((rate > 0) & (rate < 1), -inside * np.log(inside) - (1 - inside) * np.log1p(-inside), 0.0)


def normalized_entropy(labels: Numbers, predictions: Numbers) -> float:
    loss = log_loss(labels, predictions)
    base = float(entropy(float(np.mean(labels))))
    if base == 0.0:
        raise DataError(f"normalized entropy needs both classes; {int(np.sum(labels))} of {len(labels)} labels are positive.")
    return loss / base


def calibration_ratio(labels: Numbers, predictions: Numbers) -> float:
    _filled(log_losses(labels, predictions))
    if not np.sum(labels):
        raise DataError(f"calibration ratio needs a positive; none of {len(labels)} labels is.")
    return float(np.sum(predictions, dtype=np.float64) / np.sum(labels, dtype=np.float64))


def ece(labels: Numbers, predictions: Numbers, bins: int = 20) -> float:
    """Equal predictions share a bin, so the figure does not depend on the order of the rows."""
    _filled(log_losses(labels, predictions))
    p = np.asarray(predictions, np.float64)
    bin_ = equal_mass_bins(p, bins)
    return float(np.abs(np.bincount(bin_, p - np.asarray(labels, np.float64))).sum() / len(p))


def equal_mass_bins(predictions: Float64, bins: int = 20) -> Int64:
    """The bin of each row, [N]."""
    _, tied, sizes = np.unique(predictions, return_inverse=True, return_counts=True)
    found: Int64 = (((np.cumsum(sizes) - sizes) * bins) // len(predictions))[tied]
    return found


def _filled(losses: Float64) -> Float64:
    if not len(losses):
        raise DataError("predictions: there are none, so there is nothing to measure.")
    return losses


def _labels(labels: Numbers, values: Numbers) -> Float64:
    labels = np.asarray(labels, np.float64)
    if labels.shape != np.shape(values) or labels.ndim != 1:
        raise DataError(f"labels are {labels.shape} and predictions {np.shape(values)}; expected one of each a row.")
    strange = (labels != 0) & (labels != 1)
    if strange.any():
        raise DataError(f"labels: row {int(strange.argmax())} is {labels[strange][0]}; expected 0 or 1.")
    return labels
