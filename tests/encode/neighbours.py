"""Vectors that have neighbours, and how many of the nearest an index found."""

import numpy as np

from headrace.contracts.rng import rng


def clustered(n, dim, name):
    """[n, dim] float64 around 200 centres that all names share."""
    centre = rng(0, "centres").normal(size=(200, dim))
    draw = rng(0, name)
    return centre[draw.integers(200, size=n)] + 0.6 * draw.normal(size=(n, dim))


def recall(found, wanted):
    return np.mean([len(np.intersect1d(a, b)) / np.count_nonzero(b) for a, b in zip(found, wanted, strict=True)])
