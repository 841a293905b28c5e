"""Several methods on the same requests: a row for each method, metric and slice, each tested against the baseline.

All methods of a slice share their resamples; p is adjusted (Holm) over everything one call compares. A slice in which no
request has a right item gives no row, and the log says so.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from headrace.contracts.errors import DataError, listed, nearest
from headrace.contracts.requests import Bool, Float64, Int32, Int64
from headrace.evaluate.bootstrap import enough_resamples, mean_intervals
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure
from headrace.evaluate.rows import Row, Setting, holm_adjusted
from headrace.evaluate.slices import Slice

log = logging.getLogger(__name__)

Values = Mapping[str, Mapping[str, Float64]]
"""metric -> method -> a value a request [R], NaN where the metric is not defined for it."""


def compare(
    runs: Mapping[str, RankedLists],
    relevant: Relevant,
    *,
    stage: str,
    split: str,
    baseline: str,
    metrics: Sequence[str] = ("recall@10", "ndcg@10"),
    slices: Mapping[str, Slice] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> list[Row]:
    """slices: name -> mask of requests [R], or a restricted Relevant; {"all": every request} by default.

    resamples is raised where the table holds so many comparisons that Holm could show none of them.
    """
    users = _same_requests(runs, relevant, baseline)
    everyone = np.ones(len(users), np.bool_)
    parts = {"all": everyone} if slices is None else slices
    resamples = enough_resamples(resamples, len(parts) * len(metrics) * (len(runs) - 1))
    setting = Setting(stage=stage, split=split, baseline=baseline, seed=seed, resamples=resamples)
    whole: Values | None = None
    rows: list[Row] = []
    for name, part in parts.items():
        if isinstance(part, Relevant):
            rows += _rows(setting, name, _measured(runs, part, metrics), users, everyone)
        else:
            whole = _measured(runs, relevant, metrics) if whole is None else whole
            rows += _rows(setting, name, whole, users, _checked(name, part, users))
    return holm_adjusted(rows)


def compare_values(
    values: Values,
    users: Int32 | Int64,
    *,
    stage: str,
    split: str,
    baseline: str,
    slices: Mapping[str, Bool] | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> list[Row]:
    """The same for figures measured elsewhere (novelty, diversity, latency): they get the same interval and test."""
    parts = {"all": np.ones(len(users), np.bool_)} if slices is None else slices
    for by_method in values.values():
        check_baseline(baseline, by_method)
    resamples = enough_resamples(resamples, len(parts) * sum(len(by_method) - 1 for by_method in values.values()))
    setting = Setting(stage=stage, split=split, baseline=baseline, seed=seed, resamples=resamples)
    rows: list[Row] = []
    for name, mask in parts.items():
        rows += _rows(setting, name, values, users, _checked(name, mask, users))
    return holm_adjusted(rows)


def check_baseline(baseline: str, methods: Mapping[str, object]) -> None:
    if baseline not in methods:
        raise DataError(f'baseline "{baseline}" is not a run.{nearest(baseline, methods)} Runs: {listed(methods)}.')


def _rows(setting: Setting, part: str, values: Values, users: Int32 | Int64, mask: Bool) -> list[Row]:
    """The rows of one slice, requests picked by mask [R]. Metrics defined for the same requests share one resampling."""
    alike: dict[bytes, tuple[Bool, list[str]]] = {}
    for metric, by_method in values.items():
        kept = _defined(metric, by_method, mask)
        if kept.any():
            alike.setdefault(kept.tobytes(), (kept, []))[1].append(metric)
        else:
            log.info('%s, %s: slice "%s" has no user with %s, so it gives no row.', setting.stage, setting.split, part, metric)
    rows: list[Row] = []
    for kept, metrics in alike.values():
        blocks = []
        for metric in metrics:
            columns = np.stack(list(values[metric].values()), axis=1)[kept]
            # differences are columns of their own, so that equal methods differ by exactly 0 in every resample
            blocks += [columns, columns - values[metric][setting.baseline][kept, None]]
        means = mean_intervals(users[kept], np.hstack(blocks), resamples=setting.resamples, seed=setting.seed)
        start = 0
        for metric in metrics:
            n = len(values[metric])
            figures, differences = (means.columns(slice(at, at + n)) for at in (start, start + n))
            rows += setting.rows(part, metric, list(values[metric]), figures, differences)
            start += 2 * n
    return rows


def _defined(metric: str, by_method: Mapping[str, Float64], mask: Bool) -> Bool:
    """The requests of the mask the metric is defined for, which must be the same for every method."""
    undefined = np.isnan(np.stack(list(by_method.values()), axis=1))
    if (unequal := mask & undefined.any(1) & ~undefined.all(1)).any():
        row = int(unequal.argmax())
        lacks = list(by_method)[int(undefined[row].argmax())]
        raise DataError(f'{metric}: "{lacks}" has no value for request {row} and other methods do, so they are not a pair.')
    return mask & ~undefined.any(1)


def _checked(name: str, mask: Bool, users: Int32 | Int64) -> Bool:
    if mask.dtype != np.bool_ or mask.shape != users.shape:
        raise DataError(f'slice "{name}": expected a bool mask of {len(users)} requests, got {mask.dtype} {mask.shape}.')
    return mask


def _measured(runs: Mapping[str, RankedLists], relevant: Relevant, metrics: Sequence[str]) -> Values:
    values: dict[str, dict[str, Float64]] = {}
    for method, lists in runs.items():
        for metric, value in measure(lists, relevant, metrics).items():
            values.setdefault(metric, {})[method] = value
    return values


def _same_requests(runs: Mapping[str, RankedLists], relevant: Relevant, baseline: str) -> Int32 | Int64:
    """The users of the requests, once it is sure that every run and the right items speak of the same ones."""
    check_baseline(baseline, runs)
    users, sampler = runs[baseline].users, runs[baseline].sampler
    if len(users) != len(relevant):
        raise DataError(f'run "{baseline}" has {len(users)} requests and relevant has {len(relevant)}.')
    for name, lists in runs.items():
        if len(lists) != len(users):
            raise DataError(f'run "{name}" has {len(lists)} requests and "{baseline}" {len(users)}; a pair needs the same ones.')
        if (other := lists.users != users).any():
            row = int(other.argmax())
            raise DataError(f'run "{name}": request {row} is of user {lists.users[row]}, in "{baseline}" of user {users[row]}.')
        if lists.sampler != sampler:
            raise DataError(f'run "{name}" ranks {lists.sampler or "all items"}, "{baseline}" {sampler or "all items"}: no pair.')
    return users
