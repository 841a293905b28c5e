"""The best items by vectors, as a retriever proposes them: what may be proposed, what each request has had, ties, empty rows.

Each request is looked up by itself, so what is found for it is the same beside others as alone: a build's report tells the recall
that a server has. Of what a request may not have, so many more are looked up, and left out afterwards.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from headrace.contracts.config import config, later
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32
from headrace.encode.codes import CodesConfig, CodesIndex

_PREFIX = "index."


@config
class NearestConfig:
    """How a retriever finds the items whose vectors have the largest product with a request's."""

    index: Literal["exact", "codes"] = later("exact")
    """codes: 4 bits a number are read, the best few compared (`encode.codes`), for 20,000 items and more. Needs faiss."""
    rescored: Annotated[int, Gt(0)] = later(6)
    """Of index = "codes": times k that are compared exactly."""


def need_index(asked: NearestConfig) -> None:
    """Before hours of training: MissingExtra where the index can't be made."""
    if asked.index == "codes":
        CodesIndex(1)


class Nearest:
    """index: of the items that may be proposed at all, by their numbers. size: numbers in the catalogue, 0 counted in."""

    def __init__(self, index: CodesIndex, size: int):
        self.index, self.size = index, size

    @classmethod
    def over(
        cls, vectors: Float32, may: Bool, asked: NearestConfig, *, seed: int, arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> "Nearest":
        """vectors [n_items, d], not copied. may [n_items]: who may be proposed. arrays: a retriever's, `Nearest.arrays` among
        them; None: the index is made."""
        coded = None if arrays is None else {name.removeprefix(_PREFIX): values for name, values in arrays.items()}
        settings = CodesConfig(rescored=asked.rescored)
        return cls(CodesIndex.over(vectors, may, settings, seed=seed, coded=coded), len(vectors))

    def propose(self, queries: Float32, k: int, allowed: Allowed, stage: str, speaks: Bool | None = None) -> Candidates:
        """queries [R, d]. speaks [R]: which requests have one at all; None: all of them."""
        k = min(k, self.size)
        items, scores = np.zeros((len(queries), k), np.int32), np.full((len(queries), k), np.nan, np.float32)
        for row in range(len(queries)) if speaks is None else np.flatnonzero(speaks).tolist():
            had = None if allowed.blocked is None else np.unique(allowed.blocked.take([row]).items)
            found, products = self.index.search(queries[row : row + 1], k if had is None else k + len(had), allowed.items)
            if had is None:
                items[row], scores[row] = found[0], products[0]
                continue
            kept = np.flatnonzero((found[0] > 0) & ~np.isin(found[0], had))[:k]
            items[row, : len(kept)], scores[row, : len(kept)] = found[0, kept], products[0, kept]
        return Candidates(items, {stage: scores})

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {_PREFIX + name: values for name, values in self.index.arrays().items()}


def is_of_index(name: str) -> bool:
    """Whether a retriever's array is one of `Nearest.arrays`."""
    return name.startswith(_PREFIX)
