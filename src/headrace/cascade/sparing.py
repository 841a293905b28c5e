"""Stages left out of an answer: whoever asks says which, by name, and each has something that stands in for it.

    retrieve.NAME      a retriever: the others' proposals, then the fallback's
    prerank, rank      a scorer, and those after it: the order of the stage before; at the last the order of the proposals

The order of proposals as a score is -log(place), so that a page drawn at temperature 1 takes the n-th with weight 1 / n. It is a
function of what was left out, not of when: the same stages left out again give the same answer.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.contracts.seams import Retriever

Skips = Callable[[str], bool]
Timed = Callable[[str], AbstractContextManager[None]]
ORDER = "order"


def never(_: str) -> bool:
    return False


def untimed(_: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Spared:
    """A `Retriever`: another, or nothing where it is left out."""

    stage: str
    retriever: Retriever
    skips: Skips
    timed: Timed

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        if self.skips(self.stage):
            return Candidates(np.zeros((len(requests), 0), np.int32), {self.stage: np.zeros((len(requests), 0), np.float32)})
        with self.timed(self.stage):
            return self.retriever.retrieve(requests, k, allowed)


def spared(retrievers: Mapping[str, Retriever], skips: Skips, timed: Timed) -> Mapping[str, Retriever]:
    return {name: Spared(f"retrieve.{name}", one, skips, timed) for name, one in retrievers.items()}


def in_order(proposals: Candidates) -> Candidates:
    """With the order they stand in as their score, best first."""
    place = np.arange(1, proposals.items.shape[1] + 1, dtype=np.float32)
    order = np.where(proposals.there, -np.log(place), np.nan).astype(np.float32)
    return replace(proposals, scores={**proposals.scores, ORDER: order})
