"""A retriever that keeps what it was given, so that a test sees it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Requests


@config
class ReadsCodesConfig:
    pass


class ReadsCodes:
    """needs: both."""

    Config = ReadsCodesConfig
    revision = 1
    needs: tuple[str, ...] = ("semantic_ids", "item_vectors")

    def __init__(self, config: ReadsCodesConfig, *, seed: int = 0):
        self.config, self.given = config, dict[str, NDArray[Any]]()

    def fit(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> None:
        self.given = {
            "codes": artifacts["semantic_ids"].codes,
            "vectors": artifacts["item_vectors"],
            "chosen": interactions.item_counts() > 0,
        }

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        items = np.zeros((len(requests), k), np.int32)
        return Candidates(items, {"reads_codes": np.full(items.shape, np.nan, np.float32)})

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return self.given

    @classmethod
    def from_arrays(cls, config: ReadsCodesConfig, arrays: Mapping[str, NDArray[Any]]) -> "ReadsCodes":
        made = cls(config)
        made.given = dict(arrays)
        return made


class ReadsFeatures(ReadsCodes):
    """The same, of features alone."""

    needs = ("features",)

    def fit(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> None:
        self.given = {"kinds": np.array([name in artifacts for name in ("features", "semantic_ids", "item_vectors")])}
