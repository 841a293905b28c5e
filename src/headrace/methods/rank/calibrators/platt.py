"""Platt scaling: a straight line through the logits.

    logit' = a · logit + b,    a ≥ 0, both by maximum likelihood of smoothed labels

Shapes: logits, labels [N]. Cost O(N) a step of Newton. Two numbers, so some hundred rows are enough; it mends a rate that is
too high or low and scores that are too sure, and no other shape. Order is kept; where the best a is below 0 it is 0, and all
that is said is the rate. Relation to `beta`: that one bends both ends, `isotonic` anything that rises.
Paper: Platt, *Probabilistic outputs for support vector machines*, 1999, sections 2.1 and 2.2.
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
class PlattConfig:
    pass


class Platt:
    Config = PlattConfig
    revision = 1

    def __init__(self, config: PlattConfig):
        self.config = config

    def fit(self, logits: Float64, labels: Float64) -> None:
        logits, labels = checked(logits, labels)
        self.weights = fitted(logits[:, None], labels)

    def __call__(self, logits: Float64) -> Float64:
        a, b = self.weights
        calibrated: Float64 = a * logits + b
        return calibrated

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"weights": self.weights}

    @classmethod
    def from_arrays(cls, config: PlattConfig, arrays: Mapping[str, NDArray[Any]]) -> "Platt":
        made = cls(config)
        made.weights = np.array(arrays["weights"])
        return made
