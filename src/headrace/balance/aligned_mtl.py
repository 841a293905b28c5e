"""Aligned-MTL: the nearest gradients to the given ones that are orthogonal and equally long, then their mean.

    A = V diag(s) V',   B = sqrt(s_least) V diag(s)^-1/2 V',   w = B 1/m;      weight_i = m w_i

The gradients' matrix gets condition number 1, at the least singular value that isn't nil, so no direction grows. Cost O(m³).
Use it where gradients conflict and dominate at once. A least singular value that is small makes a small step: with a plain
optimizer raise the rate; those of Adam's kind do it themselves.
Paper: Senushkin et al., CVPR 2023.
"""

import numpy as np

from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Matrix, Vector


def aligned_mtl(gram: Matrix) -> Vector:
    """w."""
    m = len(gram)
    mean = np.full(m, 1 / m)
    values, vectors = np.linalg.eigh(gram)
    kept = values > values[-1] * m * np.finfo(np.float32).eps
    if values[-1] <= 0:
        return mean
    values, vectors = values[kept], vectors[:, kept]
    return np.asarray(np.sqrt(values[0]) * vectors @ ((vectors.T @ mean) / np.sqrt(values)))


class AlignedMTL(GramSolver):
    Config: type[GramConfig] = GramConfig
    revision = 1

    def __init__(self, config: GramConfig):
        self.config = config

    def __call__(self, seen: Seen) -> Vector:
        assert seen.gram is not None
        return len(seen.names) * aligned_mtl(seen.gram)
