"""What retrievers over an item-to-item matrix share: who speaks for an item is a row of it, and scores add up.

A matrix [n_items, n_items], sparse or dense: entry (i, j) is how much a past item i speaks for j.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from headrace.contracts.requests import Float32, History, Int32
from headrace.nn.topk import top_k

_ROWS_AT_ONCE = 256


def chosen(history: History, n_items: int) -> Any:
    """Sparse [rows, n_items]: how often each item stands in each history; unknown items are left out."""
    rows, known = history.rows(), (history.items > 0) & (history.items < n_items)
    ones = np.ones(int(known.sum()), np.float32)
    return sparse.csr_matrix((ones, (rows[known], history.items[known])), shape=(len(history), n_items))


def largest(row: Int32, col: Int32, values: NDArray[Any], n_items: int, k: int) -> Any:
    """Sparse [n_items, n_items] from its entries, each row keeping its k largest."""
    order = np.lexsort((-values, row))
    row, col, values = row[order], col[order], values[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n_items))])
    kept = np.arange(len(row)) - starts[row] < k
    return sparse.csr_matrix((values[kept].astype(np.float32), (row[kept], col[kept])), shape=(n_items, n_items))


def nearest(rows_of: Callable[[slice], Float32], n_items: int, k: int, *, seed: int) -> Any:
    """Sparse [n_items, n_items], each row keeping its k largest; ties by a seeded draw, as in `top_k`.

    rows_of: a block of rows, dense [rows, n_items], -inf where there is nothing. Memory O(block × n_items).
    """
    parts = []
    for start in range(0, n_items, _ROWS_AT_ONCE):
        found = top_k(rows_of(slice(start, min(start + _ROWS_AT_ONCE, n_items))), k, "near", seed=seed)
        row, place = np.nonzero(found.there)
        parts.append((row + start, found.items[row, place], found.scores["near"][row, place]))
    row, col, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sparse.csr_matrix((values, (row, col)), shape=(n_items, n_items))


def strongest(matrix: Any, past: Int32, items: Int32) -> Int32:
    """Which of past [R, H] speaks most for each of items [R, C]; 0 where none speaks for it. -> [R, C]. Cost O(R H C)."""
    n_items = matrix.shape[0]
    past, asked = (np.where(numbers < n_items, numbers, 0) for numbers in (past, items))
    pairs = np.broadcast_arrays(past[:, :, None], asked[:, None, :])
    share = np.asarray(matrix[pairs[0].ravel(), pairs[1].ravel()]).reshape(pairs[0].shape)
    share = np.where((pairs[0] > 0) & (pairs[1] > 0), share, 0.0)
    best = np.take_along_axis(past, share.argmax(1), 1)
    return np.where(share.max(1, initial=0) > 0, best, 0).astype(np.int32)
