"""Ranking metrics at a cut-off k, one value a request.

    recall@k       right items in the top k / right items
    ndcg@k         sum of 1 / log2(1 + rank) over hits / the same sum for min(k, right items) leading hits; hits count alike
    graded_ndcg@k  the same with grades for gains (linear, as trec_eval's)
    mrr@k          1 / rank of the first hit, 0 without one
    map@k          mean of precision at each hit; the denominator is all right items, not min(k, right items), as trec_eval's
    hit_rate@k     1 with any hit

Shapes: hits bool [R, K]; n_relevant [R]; each returns float64 [R], NaN where a request has no right item. Cost O(R k).
Recall and hit_rate say what a stage leaves for the next one; ndcg, mrr and map say what a reader of a page meets.
Source: Järvelin and Kekäläinen, TOIS 2002 (nDCG); trec_eval for conventions.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.errors import ConfigError, DataError, nearest
from headrace.contracts.requests import Bool, Float64, Int64
from headrace.evaluate.lists import RankedLists, Relevant, gains, hits


def recall(hits: Bool, n_relevant: Int64, k: int) -> Float64:
    return _share(hits[:, :k].sum(1), n_relevant)


def ndcg(hits: Bool, n_relevant: Int64, k: int) -> Float64:
    discounts = _discounts(k)
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(n_relevant, k)]
    return _share(hits[:, :k] @ discounts, best)


def mrr(hits: Bool, n_relevant: Int64, k: int) -> Float64:
    top = hits[:, :k]
    return _share(np.where(top.any(1), 1.0 / (top.argmax(1) + 1), 0.0), np.minimum(n_relevant, 1))


def average_precision(hits: Bool, n_relevant: Int64, k: int) -> Float64:
    top = hits[:, :k]
    precision = top.cumsum(1) / np.arange(1, k + 1)
    return _share((precision * top).sum(1), n_relevant)


def hit_rate(hits: Bool, n_relevant: Int64, k: int) -> Float64:
    return _share(hits[:, :k].max(1, initial=False), np.minimum(n_relevant, 1))


def graded_ndcg(gains: Float64, relevant: Relevant, k: int) -> Float64:
    """gains [R, K] from `lists.gains`."""
    assert relevant.grades is not None
    rows = relevant.rows()
    order = np.lexsort((-relevant.grades, rows))
    place = np.arange(len(order)) - np.repeat(relevant.offsets[:-1], relevant.counts)
    counted = np.where(place < k, relevant.grades[order] / np.log2(place + 2), 0.0)
    return _share(gains[:, :k] @ _discounts(k), np.bincount(rows, counted, minlength=len(relevant)))


BINARY: dict[str, Callable[[Bool, Int64, int], Float64]] = {
    "recall": recall,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": average_precision,
    "hit_rate": hit_rate,
}
NAMES = (*BINARY, "graded_ndcg")


@dataclass(frozen=True)
class Metric:
    name: str
    k: int

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"


def parse_metric(text: str) -> Metric:
    """ "ndcg@10" -> Metric("ndcg", 10)."""
    if (match := re.fullmatch(r"(\w+)@([1-9]\d*)", text)) and match[1] in NAMES:
        return Metric(match[1], int(match[2]))
    name, _, k = text.partition("@")
    k = k if re.fullmatch(r"[1-9]\d*", k) else "10"
    close = nearest(f"{name}@{k}", [f"{known}@{k}" for known in NAMES])
    raise ConfigError(f'metric "{text}" is not known.{close} Metrics: {", ".join(f"{known}@k" for known in NAMES)}, k from 1.')


def measure(lists: RankedLists, relevant: Relevant, metrics: Sequence[str]) -> dict[str, Float64]:
    """Each metric's value a request, [R], by its printed name. What is found in the lists is looked up once for all."""
    wanted = [parse_metric(text) for text in metrics]
    depth = max((metric.k for metric in wanted), default=0)
    if depth > lists.depth:
        deepest = next(metric for metric in wanted if metric.k == depth)
        raise DataError(
            f"{deepest} needs {depth} slots and the lists have {lists.depth}. Give longer ones, or pad with 0 if there are none."
        )
    found = hits(lists, relevant, depth)
    graded = gains(lists, relevant, depth) if any(metric.name == "graded_ndcg" for metric in wanted) else None
    values = {}
    for metric in wanted:
        if metric.name in BINARY:
            value = BINARY[metric.name](found, relevant.counts, metric.k)
        else:
            assert graded is not None
            value = graded_ndcg(graded, relevant, metric.k)
        values[printed(metric, lists.sampler)] = value
    return values


def printed(metric: Metric, sampler: str | None) -> str:
    """The name a figure carries: 'ndcg@10', or 'ndcg@10 (sampled: uniform-100)' where the catalogue was not ranked whole."""
    return str(metric) if sampler is None else f"{metric} (sampled: {sampler})"


def _discounts(k: int) -> Float64:
    discounts: Float64 = 1.0 / np.log2(np.arange(2, k + 2))
    return discounts


def _share(part: Float64 | Int64 | Bool, whole: Float64 | Int64) -> Float64:
    """part / whole, NaN where there is nothing to find."""
    share: Float64 = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share
