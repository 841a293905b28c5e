"""Unified distillation and semi-supervised learning: the later stage labels what the earlier one will have to score.

    ỹ = p_teacher(u, i)
    a = 1 for the best `considered` of a request, by the order its candidates stand in;  `recalled` for those behind them
    w = a / mean of a over the request's unshown candidates

Shapes: [R, C]. Cost: the teacher's pass over the lists, once, offline.
Stage 1 fitted on impressions learns E[y | x1, shown], and what was shown hangs on an x2 that it can't see: it predicts too much
everywhere else. Given x1 and x2 being shown is no news, so stage 2 is fair on what was considered and may label it; farther out
it extrapolates, so what was merely recalled counts less. The mean weight of each request is 1, and as many of its candidates are
drawn as of any other's (`unshown`), so a request with a long list says no more than one with a short one. Probabilities are
passed on as they are: the teacher's temperature is 1 and no setting, since a softened teacher of clicks is a wrong one.
Use it when the ranker reads more than the pre-ranker and the log holds what was recalled. It loses where the ranker is no better
than the pre-ranker, and far from everything that was ever shown. Relation: `distil` is `recalled = 1`.
Paper: arXiv 2502.06834 (abstract; its losses' weights could not be read). Our reading: docs/papers/ukdsl.md, and the analysis in
docs/papers/cascade_bias.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

from headrace.contracts.config import config
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.contracts.seams import PseudoLabels


@config
class UKDSLConfig:
    considered: Annotated[int, Gt(0)] = 100
    """So many of a request's candidates, from the best, count fully; shown ones among them take a place."""
    recalled: Annotated[float, Ge(0), Le(1)] = 0.25
    """The others' weight beside them. 0: nothing is said of what was not considered."""


class UKDSL:
    """A `PseudoLabeler`. needs: a teacher, (requests, candidates) -> probabilities [R, C]."""

    Config = UKDSLConfig
    revision = 1
    needs = ("teacher",)

    def __init__(self, config: UKDSLConfig, *, seed: int = 0):
        self.config = config

    def fit(self, lists: CandidateLists, artifacts: Mapping[str, Any]) -> None:
        self.teacher = artifacts["teacher"]

    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels:
        there = unshown.there
        considered = np.arange(there.shape[1]) < self.config.considered
        weight = np.where(there, np.where(considered, 1.0, self.config.recalled), 0.0)
        total = weight.sum(1, keepdims=True)
        weight *= np.divide(there.sum(1, keepdims=True), total, out=np.zeros_like(total), where=total > 0)
        label = np.where(there, self.teacher(requests, unshown), 0)
        return PseudoLabels(label.astype(np.float32), weight.astype(np.float32))
