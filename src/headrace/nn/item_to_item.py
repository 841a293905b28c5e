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


def once(history: History, n_items: int) -> Any:
    """The same with 1 for each item that stands there, however often."""
    found = chosen(history, n_items)
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


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


def spoken(history: History, matrix: Any) -> Float32:
    """[rows, n_items]: for each item the sum of what those of a history say, each as often as it stands there. matrix: sparse.

    A row alone is added up entry by entry, in the order and so to the bit of the sparse product, which takes longer to set up.
    """
    n_items = matrix.shape[0]
    if len(history) != 1:
        return np.asarray((chosen(history, n_items) @ matrix).todense(), np.float32)
    items = history.items
    items, counts = np.unique(items[(items > 0) & (items < n_items)], return_counts=True)
    entries, lengths = _entries(matrix, items)
    shares = matrix.data[entries]
    if counts.max(initial=1) > 1:
        shares = shares * counts.astype(np.float32).repeat(lengths)
    found = np.zeros(n_items, np.float32)
    np.add.at(found, matrix.indices[entries], shares)
    return found[None]


def summed(history: History, matrix: Float32) -> Float32:
    """The same of a dense matrix, each item once however often it stands there; -inf where none of a history is known.

    Of a row alone in the order and so to the bit of the sparse product too, a few rows of the matrix at a time.
    """
    n_items = len(matrix)
    if len(history) != 1:
        past = once(history, n_items)
        scores = np.asarray(past @ matrix, np.float32)
        scores[np.diff(past.indptr) == 0] = -np.inf
        return scores
    items = np.unique(history.items[(history.items > 0) & (history.items < n_items)])
    found = np.full((1, n_items), 0.0 if len(items) else -np.inf, np.float32)
    for start in range(0, len(items), _ROWS_AT_ONCE):
        found = np.add.reduce(np.concatenate([found, matrix[items[start : start + _ROWS_AT_ONCE]]]), 0, keepdims=True)
    return found


def strongest(matrix: Any, past: Int32, items: Int32) -> Int32:
    """Which of past [R, H] speaks most for each of items [R, C]; 0 where none speaks for it. -> [R, C]. Cost O(R H C)."""
    n_items = matrix.shape[0]
    past, asked = (np.where(numbers < n_items, numbers, 0) for numbers in (past, items))
    if len(past) == 1:
        return _strongest(matrix, past[0][past[0] > 0], asked[0])[None]
    pairs = np.broadcast_arrays(past[:, :, None], asked[:, None, :])
    share = np.asarray(matrix[pairs[0].ravel(), pairs[1].ravel()]).reshape(pairs[0].shape)
    share = np.where((pairs[0] > 0) & (pairs[1] > 0), share, 0.0)
    best = np.take_along_axis(past, share.argmax(1), 1)
    return np.where(share.max(1, initial=0) > 0, best, 0).astype(np.int32)


def _strongest(matrix: Any, past: Int32, asked: Int32) -> Int32:
    """Of one row, past [H] without padding, asked [C]. Cost O(n_items + what the rows of past hold)."""
    if not len(past):
        return np.zeros(len(asked), np.int32)
    if sparse.issparse(matrix):
        place = np.full(matrix.shape[0], -1, np.int32)
        place[asked] = np.arange(len(asked))
        entries, lengths = _entries(matrix, past)
        column = place[matrix.indices[entries]]
        hit = np.flatnonzero(column >= 0)
        share = np.zeros((len(past), len(asked)), matrix.data.dtype)
        share[np.arange(len(past)).repeat(lengths)[hit], column[hit]] = matrix.data[entries[hit]]
        share = share[:, place[asked]]  # of an item that is asked twice one column is filled
    else:
        share = matrix[past[:, None], asked]
    best = share.argmax(0)
    speaks = (share[best, np.arange(len(asked))] > 0) & (asked > 0)
    return np.where(speaks, past[best], 0).astype(np.int32)


def _entries(matrix: Any, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where a CSR matrix keeps what these rows hold, row after row, and how much each does."""
    starts = matrix.indptr[rows]
    lengths = matrix.indptr[rows + 1] - starts
    ends = lengths.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) + (starts - ends + lengths).repeat(lengths), lengths
