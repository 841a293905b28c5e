"""Parts of a test set, so that an average cannot hide whom a method fails.

A slice of requests is a mask [R]. A slice of items is the relevant set restricted to them: the lists stay, and the question
becomes how well the same answers find these items. cold + warm and head + tail each cover everything once.

    cold users   fewer than `cold_below` events of history at the request's time
    cold items   never seen in training
    head items   the fewest most popular items that hold half of the training events (ties go to the lower number)
    tail items   all others, cold ones included
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError, listed, nearest
from headrace.contracts.requests import Bool, Int64
from headrace.evaluate.lists import Relevant

Slice = Bool | Relevant


def cold_users(history_lengths: Int64, cold_below: int = 5) -> Bool:
    """history_lengths [R], as of each request."""
    cold: Bool = history_lengths < cold_below
    return cold


def cold_items(item_counts: Int64) -> Bool:
    """item_counts [n_items] of training events; item 0 is no item."""
    cold: Bool = item_counts == 0
    cold[0] = False
    return cold


def head_items(item_counts: Int64, share: float = 0.5) -> Bool:
    """O(n_items log n_items)."""
    counts = item_counts.copy()
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")
    held = np.cumsum(counts[order])
    head = np.zeros(len(counts), np.bool_)
    head[order[held - counts[order] < share * held[-1]]] = True
    return head


def category_items(categories: pl.Series, name: str) -> Bool:
    """categories: a list of strings per item number (null where it has none), row 0 for no item. An item may be in several."""
    has = categories.list.contains(name).fill_null(False).to_numpy().astype(np.bool_)
    if not has.any():
        known = categories.explode().drop_nulls().unique().sort().to_list()
        raise DataError(f'category "{name}" has no item.{nearest(name, known)} Categories: {listed(known)}.')
    return has


def standard_slices(
    relevant: Relevant,
    history_lengths: Int64,
    item_counts: Int64,
    *,
    cold_below: int = 5,
    categories: pl.Series | None = None,
    names: tuple[str, ...] = (),
) -> Mapping[str, Slice]:
    """The slices every report carries, and one for each category in `names`."""
    cold_user, cold_item, head = cold_users(history_lengths, cold_below), cold_items(item_counts), head_items(item_counts)
    slices: dict[str, Slice] = {
        "all": np.ones(len(relevant), np.bool_),
        "cold users": cold_user,
        "warm users": ~cold_user,
        "cold items": relevant.restricted(cold_item),
        "warm items": relevant.restricted(~cold_item),
        "head items": relevant.restricted(head),
        "tail items": relevant.restricted(~head),
    }
    if names and categories is None:
        raise DataError(f"slices: {listed(names)} are asked for and no categories are given.")
    for name in names:
        assert categories is not None
        slices[f"category: {name}"] = relevant.restricted(category_items(categories, name))
    return slices
