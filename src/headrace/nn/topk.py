"""The k best of a score matrix, ties broken by a seeded draw: an item's number often follows its first appearance in the log,
so breaking ties by number would smuggle the file's order into the result.

Score and draw are packed into one int64 (the score's order-preserving bits above, the draw below), so one partition decides, at
the same cost where most scores tie (a sparse method's zeros) as where none do. Cost O(R N + R k log k).

Of one long row only what may be among the k best is packed: all from a score on that at least k of them reach. The score is a
guess from every so-manieth of the row, and where it was a bad one the whole row is packed: what is found does not hang on it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Candidates, Float32, Int32, Int64
from headrace.contracts.rng import mix, seed_of

_LONG, _SAMPLED, _SPARE = 8192, 1024, 8
"""A row from which on it is worth to guess; how much of it is looked at for that, and how many places more are taken."""


def top_k(scores: Float32, k: int, stage: str, *, seed: int = 0, items: Int32 | Int64 | None = None) -> Candidates:
    """scores [R, N], -inf where an item may not be proposed; NaN is an error of the method that made it.

    items [N] or [R, N]: the item of each column, where that is not the column's number. Found: [R, min(k, N)], 0 and NaN where a
    row has fewer. The order the columns stand in has no say.
    """
    width = scores.shape[1]
    k = min(k, width)
    if len(scores) == 1:
        return _of_one(scores[0], k, stage, seed, None if items is None else items.reshape(-1))
    keys = _keys(scores, _column_draws(width, seed) if items is None else draws(items, seed))
    rows = np.arange(len(scores))[:, None]
    if k < width:
        best = np.argpartition(keys, width - k, axis=1)[:, width - k :]
        places = best[rows, np.argsort(keys[rows, best], axis=1)[:, ::-1]]
    else:
        places = np.argsort(keys, axis=1)[:, ::-1]
    kept = scores[rows, places]
    found = places if items is None else np.broadcast_to(items, scores.shape)[rows, places]
    there = kept > -np.inf
    return Candidates(np.where(there, found, 0).astype(np.int32), {stage: np.where(there, kept, np.float32(np.nan))})


def _of_one(scores: Float32, k: int, stage: str, seed: int, items: Int32 | Int64 | None) -> Candidates:
    """The same of one row, [N], without the steps that several rows take."""
    some = _likely(scores, k) if items is None and len(scores) >= _LONG else None
    if some is not None:
        keys = _keys(scores[some], _column_draws(len(scores), seed)[some])
    else:
        keys = _keys(scores, _column_draws(len(scores), seed) if items is None else draws(items, seed))
    if k < len(keys):
        best = keys.argpartition(len(keys) - k)[len(keys) - k :]
        places = best[keys[best].argsort()[::-1]]
    else:
        places = keys.argsort()[::-1]
    places = places if some is None else some[places]
    kept = scores[places]
    found = places if items is None else items[places]
    there = kept > -np.inf
    numbers, values = np.zeros((1, k), np.int32), np.full((1, k), np.nan, np.float32)
    numbers[0, : len(there)], values[0, : len(there)] = np.where(there, found, 0), np.where(there, kept, np.float32(np.nan))
    return Candidates(numbers, {stage: values})


def _likely(scores: Float32, k: int) -> Int64 | None:
    """Places in a row [N] among which the k best are, ascending; None: it is not worth to leave others out."""
    sample = scores[:: len(scores) // _SAMPLED]
    rank = min(4 * k * len(sample) // len(scores) + _SPARE, len(sample))  # some four times as many as are wanted
    least = np.partition(sample, len(sample) - rank)[len(sample) - rank]
    if least > -np.inf:
        some: Int64 = np.flatnonzero(scores >= least)
        if len(some) >= k and len(some) < len(scores) // 4:
            return some
    some = np.flatnonzero(scores > -np.inf)
    return some if len(some) < len(scores) // 4 else None


def _keys(scores: Float32, draws: Int64) -> Int64:
    keys = _ordered_bits(scores).astype(np.int64)
    keys <<= 32
    keys |= draws
    return keys


def draws(items: Int32 | Int64, seed: int) -> Int64:
    """Who of equal score stands first: the larger."""
    return (mix(items.astype(np.uint64), seed_of(seed, "ties")) >> np.uint64(32)).astype(np.int64)


@lru_cache(maxsize=4)  # a request at a time, drawing anew for the whole catalogue would be a third of the cost
def _column_draws(width: int, seed: int) -> Int64:
    return draws(np.arange(width), seed)


def _ordered_bits(scores: Float32) -> NDArray[np.int32]:
    """int32 that sort as the floats do; -0.0 becomes 0.0 first, since they are equal scores."""
    bits = np.ascontiguousarray(scores + np.float32(0.0)).view(np.int32)
    flip = bits >> 31
    flip &= 0x7FFFFFFF
    bits ^= flip
    return bits
