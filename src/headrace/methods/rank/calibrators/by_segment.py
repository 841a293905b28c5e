"""Field-wise calibration: what is left of a segment's error once all rows are calibrated together, shrunk towards none.

    logit'' = logit' + d_g,    d_g = argmin  sum over rows of g of log loss(y, logit' + d) + m v / 2 · d²

v: the mean of p'(1 - p') over all rows, so that the prior weighs as m rows of no opinion do. A segment of few rows stays with
the global calibrator; one of many is right in sum (the ratio of predicted to observed is 1 up to the prior).
Shapes: logits, labels [N], segments [N] codes ≥ 0. Cost O(N) a step of Newton. A segment nobody saw has d = 0.
Use it where a feature of users moves rates that the ranker does not see. Inside a request the user is one, so order is kept.
Source: the shrunk per-field offset is our own form; field-wise error: Pan et al., WWW 2020 (field-aware calibration).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Float64, Int64

PRIOR_ROWS = 100.0
_STEPS = 30


class BySegment:
    """shifts [G]: what each segment's logits move by."""

    def fit(self, logits: Float64, labels: Float64, segments: Int64, prior_rows: float = PRIOR_ROWS) -> None:
        """logits: calibrated ones, [N]."""
        n = int(segments.max(initial=0)) + 1
        p = _sigmoid(logits)
        prior = prior_rows * float((p * (1 - p)).mean())
        shifts = np.zeros(n)
        for _ in range(_STEPS):
            p = _sigmoid(logits + shifts[segments])
            slope = np.bincount(segments, p - labels, n) + prior * shifts
            curve = np.bincount(segments, p * (1 - p), n) + prior
            step = np.clip(slope / np.maximum(curve, 1e-12), -1.0, 1.0)  # far from the end a whole step would jump over it
            shifts -= step
            if np.abs(step).max() < 1e-12:
                break
        self.shifts = shifts

    def __call__(self, logits: Float64, segments: Int64) -> Float64:
        known = np.where(segments < len(self.shifts), self.shifts[np.minimum(segments, len(self.shifts) - 1)], 0.0)
        calibrated: Float64 = logits + known
        return calibrated

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"shifts": self.shifts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "BySegment":
        made = cls()
        made.shifts = np.array(arrays["shifts"])
        return made


def _sigmoid(logits: Float64) -> Float64:
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
