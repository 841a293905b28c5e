"""The k best of a score matrix, ties broken by a seeded draw: an item's number often follows its first appearance in the log,
so breaking ties by number would smuggle the file's order into the result.

Score and draw are packed into one uint64 (the score's order-preserving bits above, the draw below), so one partition decides.
Cost O(R N + R k log k).
"""

import numpy as np

from headrace.contracts.requests import Candidates, Float32
from headrace.contracts.rng import mix, seed_of


def top_k(scores: Float32, k: int, stage: str, *, seed: int = 0) -> Candidates:
    """scores [R, catalogue], -inf where an item may not be proposed; NaN is an error of the method that made it."""
    n_items = scores.shape[1]
    k = min(k, n_items)
    draws = mix(np.arange(n_items, dtype=np.uint64), seed_of(seed, "ties")) >> np.uint64(32)
    keys = (_ordered_bits(scores).astype(np.uint64) << np.uint64(32)) | draws
    best = np.argpartition(keys, n_items - k, axis=1)[:, n_items - k :] if k < n_items else np.argsort(keys, axis=1)
    order = np.argsort(np.take_along_axis(keys, best, 1), axis=1)[:, ::-1]
    items = np.take_along_axis(best, order, 1).astype(np.int32)
    kept = np.take_along_axis(scores, items, 1)
    there = kept > -np.inf
    return Candidates(np.where(there, items, 0), {stage: np.where(there, kept, np.nan).astype(np.float32)})


def _ordered_bits(scores: Float32) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint32]]":
    """uint32 that sort as the floats do; -0.0 becomes 0.0 first, since they are equal scores."""
    bits = np.ascontiguousarray(scores + np.float32(0.0)).view(np.uint32)
    return np.where(bits >> np.uint32(31), ~bits, bits | np.uint32(0x80000000))
