"""Beta calibration: as if each class's probabilities came from a beta distribution of its own.

    logit' = a · log p - b · log(1 - p) + c,    p = sigmoid(logit), a, b ≥ 0, by maximum likelihood of smoothed labels

Shapes: logits, labels [N]. Cost O(N) a step of Newton. With a = b it is `platt`; with a ≠ b the two ends bend each its own way,
so a score that is right in the middle and too sure at one end can be mended. Three numbers: a thousand rows are enough.
Paper: Kull, Silva Filho and Flach, AISTATS 2017, section 3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.requests import Float64
from headrace.methods.rank.calibrators.rows import checked
from headrace.optim.logistic import fitted


@config
class BetaConfig:
    pass


class Beta:
    Config = BetaConfig
    revision = 1

    def __init__(self, config: BetaConfig):
        self.config = config

    def fit(self, logits: Float64, labels: Float64) -> None:
        logits, labels = checked(logits, labels)
        self.weights = fitted(np.column_stack(_sides(logits)), labels)

    def __call__(self, logits: Float64) -> Float64:
        a, b, c = self.weights
        low, high = _sides(logits)
        calibrated: Float64 = a * low + b * high + c
        return calibrated

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"weights": self.weights}

    @classmethod
    def from_arrays(cls, config: BetaConfig, arrays: Mapping[str, NDArray[Any]]) -> "Beta":
        made = cls(config)
        made.weights = np.array(arrays["weights"])
        return made


def _sides(logits: Float64) -> tuple[Float64, Float64]:
    """log p and -log(1 - p): both rise with the logit."""
    small = np.log1p(np.exp(-np.abs(logits)))
    return np.minimum(logits, 0.0) - small, np.maximum(logits, 0.0) + small
