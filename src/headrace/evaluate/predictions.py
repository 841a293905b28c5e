"""Several scorers on the same impressions: gauc, log_loss, normalized_entropy, calibration_ratio, auc and ece, with interval and
test.

All but the last two (`pooled`) are ratios of sums over impressions, so a resample of users needs each user's sums alone: a busy
user counts as often as they were shown something, as in the metric itself. Users stay whole, because one user's impressions are
alike.

weights: how much each impression counts, for a population they were not drawn from evenly (`cascade.first_slots`). Then sums
are of weighted impressions, the order metrics and ece are not given, and n is still the number of users.

Shapes: labels, users, weights [N]; predictions: method -> [N] in [0, 1], any scores where only ORDER is asked for. Cost
O(N log N + B U) a method, O(B N) with auc. n is the number of users, for gauc of those with both classes.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from headrace.contracts.errors import DataError, listed
from headrace.contracts.requests import Bool, Float64
from headrace.evaluate.bootstrap import Means, enough_resamples, interval, resampled_sums
from headrace.evaluate.compare import check_baseline
from headrace.evaluate.exposures import moved
from headrace.evaluate.pointwise import Numbers, entropy, gauc, log_losses
from headrace.evaluate.pooled import resampled_aucs, resampled_eces
from headrace.evaluate.rows import Row, Setting, holm_adjusted

log = logging.getLogger(__name__)

METRICS = ("gauc", "log_loss", "normalized_entropy", "calibration_ratio", "auc", "ece")
ORDER = ("gauc", "auc")
WEIGHTED = ("log_loss", "calibration_ratio", "normalized_entropy")  # a short table shows the test of the last
_POOLED = {"auc": resampled_aucs, "ece": resampled_eces}


def compare_predictions(
    predictions: Mapping[str, Numbers],
    labels: Numbers,
    users: Numbers,
    *,
    stage: str,
    split: str,
    baseline: str,
    metrics: Sequence[str] = METRICS,
    weights: Numbers | None = None,
    slices: Mapping[str, Bool] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> list[Row]:
    """slices: name -> mask of impressions [N]; {"all": every one} by default. p is adjusted over the whole call."""
    check_baseline(baseline, predictions)
    counted = _weights(weights, len(labels), metrics)
    parts = {"all": np.ones(len(labels), np.bool_)} if slices is None else slices
    resamples = enough_resamples(resamples, len(parts) * len(metrics) * (len(predictions) - 1))
    setting = Setting(stage=stage, split=split, baseline=baseline, seed=seed, resamples=resamples)
    rows: list[Row] = []
    for name, mask in parts.items():
        if mask.dtype != np.bool_ or mask.shape != np.shape(labels):
            raise DataError(f'slice "{name}": expected a bool mask of {len(labels)} impressions, got {mask.dtype} {mask.shape}.')
        if mask.any():
            picked = {method: np.asarray(p)[mask] for method, p in predictions.items()}
            rows += _rows(setting, name, metrics, picked, np.asarray(labels)[mask], np.asarray(users)[mask], counted[mask])
        else:
            log.warning('%s, %s: slice "%s" has no impression, so it gives no row.', stage, split, name)
    return holm_adjusted(rows)


def _weights(weights: Numbers | None, n: int, metrics: Sequence[str]) -> Float64:
    if weights is None:
        return np.ones(n)
    if unweighted := sorted(set(metrics) - set(WEIGHTED)):
        raise DataError(f"weights: {listed(unweighted)} are not given of weighted impressions. Of these: {listed(WEIGHTED)}.")
    counted = np.asarray(weights, np.float64)
    if counted.shape != (n,) or not (np.isfinite(counted) & (counted >= 0)).all():
        raise DataError(f"weights: expected {n:,} finite numbers of 0 or more, got {counted.shape} from {counted.min():g} on.")
    return counted


def _rows(
    setting: Setting, part: str, metrics: Sequence[str], predictions: Mapping[str, Numbers], labels: Numbers, users: Numbers,
    weights: Float64,
) -> list[Row]:  # fmt: skip
    methods = list(predictions)
    baseline, draws = methods.index(setting.baseline), {"resamples": setting.resamples, "seed": setting.seed}
    sums, n_ordered = _sums_by_user(predictions, labels, users, weights, baseline, probable=not set(metrics) <= set(ORDER))
    figures = _figures(np.vstack([sums.sum(0), resampled_sums(sums, **draws)]))
    for metric in set(metrics) & set(_POOLED):
        columns = np.stack([_POOLED[metric](users, labels, p, **draws) for p in predictions.values()], axis=1)
        figures[metric] = np.hstack([columns, columns - columns[:, [baseline]]])
    rows: list[Row] = []
    for metric in metrics:
        own, drawn = figures[metric][0], figures[metric][1:]
        if np.isnan(own).any():
            log.warning('%s, %s: slice "%s" has one class only: no row of %s.', setting.stage, setting.split, part, metric)
            continue
        n = n_ordered if metric == "gauc" else len(sums)
        means = moved(figures[metric], n) if metric in _POOLED else Means(own, *interval(drawn, n), n, drawn)
        values, differences = means.columns(slice(len(methods))), means.columns(slice(len(methods), None))
        rows += setting.rows(part, metric, methods, values, differences)
    return rows


def _sums_by_user(
    predictions: Mapping[str, Numbers], labels: Numbers, users: Numbers, weights: Float64, baseline: int, probable: bool
) -> tuple[Float64, int]:
    """[U, 3 + 6 methods], all weighted but what gauc reads: impressions, positives, impressions of users with both classes; then
    each method's loss (0 where the predictions are no probabilities), p and AUC x impressions; then the same less the baseline's.
    The denominators are shared, so a ratio of differences is the difference of ratios, and equal methods differ by exactly 0."""
    ids, row = np.unique(users, return_inverse=True)
    own = []
    for p in predictions.values():
        ordered = gauc(users, labels, p)
        own.append(
            [
                np.bincount(row, weights * log_losses(labels, p) if probable else np.zeros(len(row)), minlength=len(ids)),
                np.bincount(row, weights * np.asarray(p, np.float64), minlength=len(ids)),
                np.where(ordered.kept, ordered.values * ordered.impressions, 0.0),
            ]
        )
    sums = np.array(own)  # [methods, 3, U]
    positives = np.bincount(row, weights * np.asarray(labels, np.float64), minlength=len(ids))
    shared = np.stack([np.bincount(row, weights, minlength=len(ids)), positives, np.where(ordered.kept, ordered.impressions, 0)])
    columns: Float64 = np.vstack([shared, *sums, *(sums - sums[baseline])]).T
    return np.ascontiguousarray(columns), ordered.n_users


def _figures(sums: Float64) -> dict[str, Float64]:
    """metric -> [1 + B, 2 methods], NaN where a draw of users leaves a metric without its denominator."""
    n, positives, weight = (sums[:, [at]] for at in range(3))
    loss, p, wins = (sums[:, 3 + at :: 3] for at in range(3))
    return {
        "gauc": _ratio(wins, weight),
        "log_loss": _ratio(loss, n),
        "normalized_entropy": _ratio(loss, n * entropy(positives / n)),
        "calibration_ratio": _ratio(p, positives),
    }


def _ratio(part: Float64, whole: Float64) -> Float64:
    whole = np.broadcast_to(whole, part.shape)
    ratio: Float64 = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio
