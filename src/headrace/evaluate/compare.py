"""Several methods on the same requests: a row for each method, metric and slice, each tested against the baseline.

A further baseline (the best retriever alone, say) gives further rows, of the methods that are no baseline. All methods of a
slice share their resamples; p is adjusted (Holm) over everything one call compares. A slice in which no request has a right
item gives no row, and the log says so.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from headrace.contracts.errors import DataError, listed, nearest
from headrace.contracts.requests import Bool, Float64, Int32, Int64
from headrace.evaluate import exposures
from headrace.evaluate.beyond import Catalogue, per_request
from headrace.evaluate.bootstrap import Means, enough_resamples, mean_intervals
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import Metric, measure, printed
from headrace.evaluate.rows import BEYOND, Row, Setting, holm_adjusted
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
    further: Sequence[str] = (),
    metrics: Sequence[str] = ("recall@10", "ndcg@10"),
    slices: Mapping[str, Slice] | None = None,
    catalogue: Catalogue | None = None,
    seed: int = 0,
    resamples: int = 2000,
) -> list[Row]:
    """slices: name -> mask of requests [R], or a restricted Relevant; {"all": every request} by default. further: baselines
    besides the first. catalogue: adds coverage, gini, novelty and diversity over all requests, as slice "all".

    resamples is raised where the table holds so many comparisons that Holm could show none of them.
    """
    users = _same_requests(runs, relevant, baseline)
    further = [name for name in further if name != baseline]
    for name in further:
        check_baseline(name, runs)
    everyone = np.ones(len(users), np.bool_)
    parts = {"all": everyone} if slices is None else slices
    figures = len(parts) * len(metrics) + (0 if catalogue is None else len(BEYOND))
    resamples = enough_resamples(resamples, figures * (len(runs) - 1 + len(further) * (len(runs) - 1 - len(further))))
    setting = Setting(
        stage=stage, split=split, baseline=baseline, further=tuple(further), seed=seed, resamples=resamples
    )  # fmt: skip
    whole: Values | None = None
    rows: list[Row] = []
    for name, part in parts.items():
        if isinstance(part, Relevant):
            rows += _rows(setting, name, _measured(runs, part, metrics), users, everyone)
        else:
            whole = _measured(runs, relevant, metrics) if whole is None else whole
            rows += _rows(setting, name, whole, users, _checked(name, part, users))
    if catalogue is not None:
        rows += _of_runs(setting, runs, catalogue)
        beyond = {
            printed(Metric(name, catalogue.k), runs[baseline].sampler): values
            for name, values in per_request(runs, catalogue).items()
        }
        rows += _rows(setting, "all", beyond, users, everyone)
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
            blocks.append(_with_differences(setting, list(values[metric]), columns))
        means = mean_intervals(users[kept], np.hstack(blocks), resamples=setting.resamples, seed=setting.seed)
        start = 0
        for metric, block in zip(metrics, blocks, strict=True):
            of_metric = means.columns(slice(start, start + block.shape[1]))
            rows += _tested(setting, part, metric, list(values[metric]), of_metric)
            start += block.shape[1]
    return rows


def _of_runs(setting: Setting, runs: Mapping[str, RankedLists], catalogue: Catalogue) -> list[Row]:
    """Coverage and gini, which have no value for a single request."""
    lists = runs[setting.baseline]
    drawn = [
        exposures.resampled_figures(run, catalogue.available, catalogue.k, resamples=setting.resamples, seed=setting.seed)
        for run in runs.values()
    ]
    rows: list[Row] = []
    for at, metric in enumerate(exposures.METRICS):
        columns = _with_differences(setting, list(runs), np.stack([figures[:, at] for figures in drawn], axis=1))
        if np.isnan(columns[0]).any():
            log.info("%s, %s: a method shows no item that is available, so there is no %s.", setting.stage, setting.split, metric)
            continue
        means = exposures.moved(columns, len(np.unique(lists.users)))
        rows += _tested(setting, "all", printed(Metric(metric, catalogue.k), lists.sampler), list(runs), means)
    return rows


def _with_differences(setting: Setting, methods: list[str], columns: Float64) -> Float64:
    """columns [N, methods], then each less the baseline's, then those that a further baseline is set against less its own.

    Differences are columns of their own, so that equal methods differ by exactly 0 in every resample.
    """
    places = _against(setting, methods).items()
    return np.hstack([columns, *(columns[:, tested] - columns[:, [methods.index(name)]] for name, tested in places)])


def _tested(setting: Setting, part: str, metric: str, methods: list[str], means: Means) -> list[Row]:
    """The rows of what `_with_differences` laid out."""
    rows, start = [], len(methods)
    for name, tested in _against(setting, methods).items():
        differences = means.columns(slice(start, start + len(tested)))
        one = replace(setting, baseline=name)
        rows += one.rows(part, metric, [methods[at] for at in tested], means.columns(tested), differences)
        start += len(tested)
    return rows


def _against(setting: Setting, methods: list[str]) -> dict[str, list[int]]:
    """Each baseline, and the methods it is set against."""
    others = [at for at, name in enumerate(methods) if name not in (setting.baseline, *setting.further)]
    return {setting.baseline: list(range(len(methods))), **dict.fromkeys(setting.further, others)}


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
