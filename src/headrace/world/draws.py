"""Draws that belong to a request: a function of (seed, name, request id, column) alone, whatever else is asked beside it."""

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Float64
from headrace.contracts.rng import mix, seed_of, stable_hash, uniform


def keys_of(seed: int, name: str, ids: NDArray[np.str_], columns: NDArray[np.integer]) -> NDArray[np.uint64]:
    """columns [K], or [R, K] where each request has its own (such as the items shown)."""
    return mix(mix(stable_hash(ids), seed_of(seed, name))[:, None], columns.astype(np.uint64))


def uniforms(seed: int, name: str, ids: NDArray[np.str_], columns: NDArray[np.integer]) -> Float64:
    """[R, K] in the open interval (0, 1)."""
    return uniform(keys_of(seed, name, ids, columns))


def normals(seed: int, name: str, ids: NDArray[np.str_], columns: NDArray[np.integer]) -> Float64:
    """[R, K], by Box and Muller."""
    keys = keys_of(seed, name, ids, columns)
    drawn: Float64 = np.sqrt(-2 * np.log(uniform(mix(keys, 1)))) * np.cos(2 * np.pi * uniform(mix(keys, 2)))
    return drawn
