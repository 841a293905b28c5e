"""Sure labels only: the teacher's clearest yes and clearest no, as 1 and 0, and nothing of what lies between.

    ỹ = 1, w = 1   where p_teacher is among the highest `positive` of all unshown candidates
    ỹ = 0, w = 1   where it is among the lowest `negative`
    w = 0          between them

Shapes: [R, C]. Cost: the teacher's pass over the lists twice, once for the two thresholds, over all requests that are learned
from, and once for the labels.
Two tails of the same size would say that half of what nobody saw is liked: `positive / (positive + negative)` is the rate that a
pre-ranker learns of unshown candidates, so set it to what is believed of them. Use it when the teacher's order can be trusted and
its scale can't. It loses to `distil` where the scale holds: a hard label throws away what the teacher knows of its own doubt.
Paper: in the manner of MUDA, as arXiv 2602.20995 has it among its baselines; the form is the simplest that fits its description.
Our reading: docs/papers/ukdsl.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.contracts.seams import PseudoLabels


@config
class MudaConfig:
    """Shares of all unshown candidates."""

    positive: Annotated[float, Gt(0)] = 0.02
    negative: Annotated[float, Gt(0)] = 0.5

    def __post_init__(self) -> None:
        if self.positive + self.negative > 1:
            raise ConfigError(
                f"positive = {self.positive:g} and negative = {self.negative:g} are shares of the same candidates and add up to "
                f"{self.positive + self.negative:g}: at most 1."
            )


class Muda:
    """A `PseudoLabeler`. needs: a teacher, (requests, candidates) -> probabilities [R, C]."""

    Config = MudaConfig
    revision = 1
    needs = ("teacher",)

    def __init__(self, config: MudaConfig, *, seed: int = 0):
        self.config = config

    def fit(self, lists: CandidateLists, artifacts: Mapping[str, Any]) -> None:
        """The thresholds, of candidates that were not shown."""
        self.teacher, unshown = artifacts["teacher"], lists.unshown
        scores = self.teacher(lists.requests, unshown)[unshown.there]
        self.low = float(np.quantile(scores, self.config.negative)) if len(scores) else 0.0
        self.high = float(np.quantile(scores, 1 - self.config.positive)) if len(scores) else 1.0

    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels:
        score = np.where(unshown.there, self.teacher(requests, unshown), np.nan)
        yes = score >= self.high
        return PseudoLabels(yes.astype(np.float32), (yes | (score <= self.low)).astype(np.float32))
