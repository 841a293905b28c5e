"""Vectors that lie in groups of groups, so that codes have something to say at every depth."""

import numpy as np

from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Bool, Float32, History
from headrace.contracts.rng import rng


def clustered(n: int = 400, dim: int = 12, *, groups: int = 6, inside: int = 5, seed: int = 0) -> Float32:
    """[n, dim]: a group's centre, plus a smaller step to the group in it, plus noise, no two alike."""
    draw = rng(seed, "clustered")
    group, within = draw.integers(groups, size=n), draw.integers(inside, size=n)
    far, near = draw.standard_normal((groups, dim)), draw.standard_normal((groups, inside, dim))
    found: Float32 = (far[group] + 0.4 * near[group, within] + 0.1 * draw.standard_normal((n, dim))).astype(np.float32)
    return found


def chosen(items: Bool) -> Interactions:
    """One user who chose each of these items once; [n_items], item 0 among them."""
    history = History(np.array([0, 0, int(items.sum())]), np.flatnonzero(items).astype(np.int32), np.arange(int(items.sum())))
    return Interactions(history, len(items), len(items) + 1, np.ones(int(items.sum()), np.float32), np.ones(len(items), np.bool_))
