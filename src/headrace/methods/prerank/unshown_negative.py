"""Unshown as negative: whatever nobody saw is taken to have been refused.

    ỹ = 0,   w = 1          for every candidate that was not shown

Shapes: [R, C]. Cost O(1) a candidate; it reads nothing and is fitted on nothing.
What is learned so is P(shown and y | x), not P(y | x): the pre-ranker learns the taste of the cascade that chose, and its
probabilities are far too low wherever little was shown. Use it as the baseline that every other labeler has to beat, or where
the log's order is all that is wanted and what was shown was chosen well. It loses wherever a probability is wanted, and wherever
good candidates went unseen. Relation: `distil` and `ukdsl` ask a teacher instead, `gpl` what a user's past interests say.
Papers: the heuristic that arXiv 2602.20995 and arXiv 2502.06834 argue against. Our reading: docs/papers/ukdsl.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.contracts.config import config
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.contracts.seams import PseudoLabels


@config
class UnshownNegativeConfig:
    """Nothing to set: how much it counts is its stage's pseudo_weight."""


class UnshownNegative:
    """A `PseudoLabeler`."""

    Config = UnshownNegativeConfig
    revision = 1
    needs: tuple[str, ...] = ()

    def __init__(self, config: UnshownNegativeConfig, *, seed: int = 0):
        self.config = config

    def fit(self, lists: CandidateLists, artifacts: Mapping[str, Any]) -> None:
        """Zeros hang on no data."""

    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels:
        return PseudoLabels(np.zeros(unshown.items.shape, np.float32), unshown.there.astype(np.float32))
