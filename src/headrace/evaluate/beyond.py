"""What accuracy does not say: how much of the catalogue is shown, how evenly, how surprising, how varied.

    coverage@k   available items in somebody's top k / available items
    gini@k       Gini coefficient of how often each available item stands in a top k: 0 all alike, towards 1 all to one
    novelty@k    mean of -log2 p(item), p = (training events of the item + 1) / (events + items): an unseen item stays finite
    diversity@k  1 - mean cosine of the pairs in a list: of vectors, or of the sets of their categories

Shapes: lists as in `lists`; available bool and item_counts [n_items], where item 0 stands for no item. Coverage and gini
are of a whole run (with intervals: `exposures`); novelty and diversity are per request, [R], so they take intervals like any
metric. NaN where a list is too short to have one (no item; fewer than two). Cost O(R k), diversity O(R k dim) of vectors and
O(R k W) of bags. Source: Castells, Hurley and Vargas, Recommender Systems Handbook, 2015.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Float32, Float64, Int32, Int64
from headrace.evaluate.lists import RankedLists

_GATHERED = 1 << 22


@dataclass(frozen=True)
class Catalogue:
    """What these figures know of the items. available, counts [n_items]: what may be shown; events in training.

    categories: bags [n_items, W] of category numbers, padded with 0; None, or no category at all, leaves diversity out.
    """

    available: Bool
    counts: Int64
    categories: Int32 | None = None
    k: int = 10


def coverage(lists: RankedLists, available: Bool, k: int) -> float:
    exposures = _exposures(lists, available, k)
    return float((exposures > 0).mean())


def gini(lists: RankedLists, available: Bool, k: int) -> float:
    exposures = np.sort(_exposures(lists, available, k))
    n = len(exposures)
    if not exposures.sum():
        raise DataError("gini: no available item is in any list, so there is no exposure to share out.")
    return float(((2 * np.arange(1, n + 1) - n - 1) @ exposures) / (n * exposures.sum()))


def novelty(lists: RankedLists, item_counts: Int64, k: int) -> Float64:
    real = item_counts[1:]
    information = np.concatenate([[0.0], -np.log2((real + 1) / (real.sum() + len(real)))])
    items = _top(lists, len(item_counts), k)
    return _mean(information[items].sum(1), (items > 0).sum(1))


def diversity(lists: RankedLists, vectors: Float32 | Float64, k: int) -> Float64:
    """vectors [n_items, dim], of any length; a zero vector has cosine 0 with all."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros(vectors.shape), where=norms > 0)
    unit[0] = 0.0
    items = _top(lists, len(unit), k)
    squares = (unit**2).sum(1)
    similar = np.empty(len(items))
    step = max(1, _GATHERED // max(1, k * unit.shape[1]))
    for start in range(0, len(items), step):
        block = items[start : start + step]
        # all pairs at once: |sum of unit vectors|^2 less each vector with itself
        similar[start : start + step] = (unit[block].sum(1) ** 2).sum(1) - squares[block].sum(1)
    n = (items > 0).sum(1)
    return 1.0 - _mean(similar, n * (n - 1))


def category_diversity(lists: RankedLists, categories: Int32, k: int) -> Float64:
    """categories: bags [n_items, W] of numbers, each once, padded with 0; an item without one has cosine 0 with all.

    What `diversity` says of the items' indicator vectors, without making them.
    """
    sizes = (categories > 0).sum(1)
    items = _top(lists, len(categories), k)
    width = int(categories.max(initial=0)) + 1
    bags = categories[items].astype(np.int64)  # [R, k, W]
    weight = np.where(bags > 0, 1.0 / np.sqrt(np.maximum(sizes, 1))[items][:, :, None], 0.0)
    keys, place = np.unique(np.arange(len(items))[:, None, None] * width + bags, return_inverse=True)
    sums = np.bincount(place.ravel(), weight.ravel(), minlength=len(keys))
    similar = np.bincount(keys // width, sums**2, minlength=len(items)) - (sizes > 0)[items].sum(1)
    n = (items > 0).sum(1)
    return 1.0 - _mean(similar, n * (n - 1))


def per_request(runs: Mapping[str, RankedLists], catalogue: Catalogue) -> dict[str, dict[str, Float64]]:
    """ "novelty" and "diversity" -> method -> [R]. A request counts only where every method has a value: a pair needs both."""
    k, bags = catalogue.k, catalogue.categories
    values = {"novelty": {name: novelty(lists, catalogue.counts, k) for name, lists in runs.items()}}
    if bags is not None and bags.any():
        values["diversity"] = {name: category_diversity(lists, bags, k) for name, lists in runs.items()}
    for by_method in values.values():
        lacking = np.isnan(np.stack(list(by_method.values()))).any(0)
        for value in by_method.values():
            value[lacking] = np.nan
    return values


def _top(lists: RankedLists, n_items: int, k: int) -> Int64:
    if k > lists.depth:
        raise DataError(f"k = {k} needs as many slots and the lists have {lists.depth}. Give longer lists.")
    items = lists.items[:, :k].astype(np.int64)
    if items.size and int(items.max()) >= n_items:
        raise DataError(f"lists hold item {int(items.max())} and the catalogue has {n_items} numbers, 0 included.")
    return items


def _exposures(lists: RankedLists, available: Bool, k: int) -> Int64:
    """How many top k hold each available item, [available items]."""
    shown = np.bincount(_top(lists, len(available), k).ravel(), minlength=len(available))
    real = available.copy()
    real[0] = False
    if not real.any():
        raise DataError("available: no item is, so there is no catalogue to cover.")
    return shown[real]


def _mean(total: Float64, count: Int64) -> Float64:
    mean: Float64 = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean
