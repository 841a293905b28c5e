"""Isotonic regression: the best function that never falls.

    p' = argmin over p_1 ≤ p_2 ≤ ... of  sum_n (y_n - p_n)²,    rows in the order of their logits

Neighbours that fall are pooled until none does; between the pools it is a straight line in the logit, outside them it is flat.
A pool of one class alone would be certain for ever, so no p' is nearer to 0 or 1 than 1 / (N + 2).
Shapes: logits, labels [N]. Cost O(N log N). It follows any rising shape, and needs some thousand rows with a hundred
positives not to follow chance; `platt` and `beta` need fewer. Scores of one pool become equal: lists keep the order they had.
Papers: Ayer et al., Annals of Mathematical Statistics 1955; Zadrozny and Elkan, KDD 2002, section 3.3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.requests import Float64, Int64
from headrace.methods.rank.calibrators.rows import checked


@config
class IsotonicConfig:
    pass


class Isotonic:
    """knots, values [K]: logits, and what they become."""

    Config = IsotonicConfig
    revision = 1

    def __init__(self, config: IsotonicConfig):
        self.config = config

    def fit(self, logits: Float64, labels: Float64) -> None:
        logits, labels = checked(logits, labels)
        scores, row, counts = np.unique(logits, return_inverse=True, return_counts=True)
        starts, means = pooled(np.bincount(row, labels) / counts, counts.astype(np.float64))
        least = 1 / (len(labels) + 2)
        p = np.clip(means, least, 1 - least)
        ends = np.append(starts[1:], len(scores)) - 1
        places = np.unique(np.stack([starts, ends], 1))  # a pool of one score has one knot
        pool = np.searchsorted(starts, places, side="right") - 1
        self.knots, self.values = scores[places], np.log(p[pool]) - np.log1p(-p[pool])

    def __call__(self, logits: Float64) -> Float64:
        calibrated: Float64 = np.interp(logits, self.knots, self.values)
        return calibrated

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"knots": self.knots, "values": self.values}

    @classmethod
    def from_arrays(cls, config: IsotonicConfig, arrays: Mapping[str, NDArray[Any]]) -> "Isotonic":
        made = cls(config)
        made.knots, made.values = np.array(arrays["knots"]), np.array(arrays["values"])
        return made


def pooled(values: Float64, weights: Float64) -> tuple[Int64, Float64]:
    """Where each pool of [N] starts, and its weighted mean: adjacent violators pooled."""
    starts: list[int] = []
    sums: list[float] = []
    sizes: list[float] = []
    for place, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        starts.append(place)
        sums.append(value * weight)
        sizes.append(weight)
        while len(sums) > 1 and sums[-2] * sizes[-1] >= sums[-1] * sizes[-2]:
            starts.pop()
            sums[-2:], sizes[-2:] = [sums[-2] + sums[-1]], [sizes[-2] + sizes[-1]]
    return np.array(starts, np.int64), np.array(sums) / np.array(sizes)
