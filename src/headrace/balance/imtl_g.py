"""IMTL-G: the combination that has the same projection on every task's gradient, however long each is.

    d · g_i / |g_i| equal for all i, sum_i w_i = 1:     w = A⁺ n / sum(A⁺ n),   n_i = |g_i|;      weight_i = m w_i

Closed form, O(m³). A⁺: the pseudo-inverse, so gradients that depend on each other are no trouble. Weights may be negative. Where
they would sum to nothing there is no such direction, and the plain sum stays.
Use it where the loss scales differ and no task comes first. It loses near conflict: weights grow without bound.
Paper: Liu et al., ICLR 2021.
"""

import numpy as np

from headrace.balance.balanced import Seen
from headrace.balance.gram_solver import GramConfig, GramSolver
from headrace.balance.oracles import Matrix, Vector


def imtl_g(gram: Matrix) -> Vector:
    """w."""
    m = len(gram)
    size = float(gram.diagonal().max())
    if size == 0:
        return np.full(m, 1 / m)
    scaled = gram / size
    raw = np.linalg.pinv(scaled, rcond=m * np.finfo(np.float32).eps, hermitian=True) @ np.sqrt(scaled.diagonal())
    total = float(raw.sum())
    return np.full(m, 1 / m) if abs(total) < 1e-12 else np.asarray(raw / total)


class IMTLG(GramSolver):
    Config: type[GramConfig] = GramConfig
    revision = 1

    def __init__(self, config: GramConfig):
        self.config = config

    def __call__(self, seen: Seen) -> Vector:
        assert seen.gram is not None
        return len(seen.names) * imtl_g(seen.gram)
