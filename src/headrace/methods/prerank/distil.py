"""Plain distillation: the ranker's probability is the label of everything that was not shown.

    ỹ = p_teacher(u, i),   w = 1          for every candidate that was not shown

Shapes: [R, C]. Cost: the teacher's pass over the lists, once, offline.
The teacher is the plan's own ranker, fitted on what was shown of the same window. What was shown hangs on what the ranker sees,
so given its inputs being shown is no news and its predictions are fair labels, as far as it has seen candidates like these: far
from everything that was ever shown it extrapolates. Its probabilities are passed on as they are (temperature 1): a softened
teacher of clicks is a wrong one. Use it when the ranker sees clearly more than the pre-ranker. It loses to `ukdsl` where far
candidates outnumber near ones, as every candidate counts alike here.
Papers: the distillation baseline of arXiv 2602.20995, and part (a) of arXiv 2502.06834. Our reading: docs/papers/ukdsl.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.contracts.config import config
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.contracts.seams import PseudoLabels


@config
class DistilConfig:
    """Nothing to set: how much it counts is its stage's pseudo_weight."""


class Distil:
    """A `PseudoLabeler`. needs: a teacher, (requests, candidates) -> probabilities [R, C]."""

    Config = DistilConfig
    revision = 1
    needs = ("teacher",)

    def __init__(self, config: DistilConfig, *, seed: int = 0):
        self.config = config

    def fit(self, lists: CandidateLists, artifacts: Mapping[str, Any]) -> None:
        self.teacher = artifacts["teacher"]

    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels:
        there = unshown.there
        return PseudoLabels(np.where(there, self.teacher(requests, unshown), 0).astype(np.float32), there.astype(np.float32))
