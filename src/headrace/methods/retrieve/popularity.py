"""Popularity: what was chosen most lately, the same for everybody.

    score_i = sum over events of i of  2^(-age / half_life)

Cost O(events) to fit, O(N) a request. The baseline every other retriever is compared with, and the fallback for a user without
a history. It loses wherever taste differs; it wins on the very first visit.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.nn.topk import top_k

_DAY_US = 86_400e6


@config
class PopularityConfig:
    half_life_days: Annotated[float, Gt(0)] | None = None
    """None: every event counts alike, however old."""


class Popularity:
    """A closed-form `Retriever`."""

    Config = PopularityConfig
    revision = 1

    def __init__(self, config: PopularityConfig, *, seed: int = 0):
        self.config, self.seed = config, seed
        self.scores = np.zeros(1, np.float32)

    def fit(self, interactions: Interactions) -> None:
        weights = interactions.weights.astype(np.float64)
        if self.config.half_life_days is not None:
            age_days = (interactions.cut_us - interactions.history.at_us) / _DAY_US
            weights = weights * np.exp2(-age_days / self.config.half_life_days)
        counts = np.bincount(interactions.history.items, weights, interactions.n_items)
        self.scores = np.where(interactions.available, counts, -np.inf).astype(np.float32)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        return top_k(allowed.mask(np.tile(self.scores, (len(requests), 1))), k, "popularity", seed=self.seed)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"scores": self.scores, "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: PopularityConfig, arrays: Mapping[str, NDArray[Any]]) -> "Popularity":
        made = cls(config, seed=int(arrays["seed"]))
        made.scores = arrays["scores"].astype(np.float32)
        return made
