"""Content neighbours: items whose texts are like those of the user's newest items.

    score(u, j) = 1 / |H| · Σ over the newest items i of u of  cos(t_i, t_j)

t is an item's text vector; an item without one is neither read nor proposed. Nothing is learned, so an item that nobody chose yet
is proposed like any other, and popularity has no say. Cost O(N dim) a request; by index = "codes" an eighth of the bytes are
read, and a few in a thousand of the best are missed (`encode.codes`).
Use it as the yardstick of every method that is to find new items; it loses to all that learn where items have events.
Source: content-based filtering, as in Pazzani and Billsus, The Adaptive Web 2007. The plain mean is our choice.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, Requests
from headrace.data.prefixes import only_readable
from headrace.encode.nearest import Nearest, NearestConfig
from headrace.nn.item_to_item import chosen
from headrace.nn.topk import top_k


@config
class ContentConfig(NearestConfig):
    history: Annotated[int, Gt(0)] = 10
    """Newest items with a text that speak."""


class Content:
    """A closed-form `Retriever`. needs: the items' text vectors."""

    Config = ContentConfig
    revision = 1
    needs = ("item_vectors",)

    def __init__(self, config: ContentConfig, *, seed: int = 0):
        self.config, self.seed = config, seed
        self.vectors: Float32 = np.zeros((1, 1), np.float32)
        self.proposed: Bool = np.zeros(1, np.bool_)
        self.nearest: Nearest | None = None

    def fit(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> None:
        vectors: Float32 = artifacts["item_vectors"]
        if len(vectors) != interactions.n_items:
            raise DataError(f"content: vectors of {len(vectors):,} items for a catalogue of {interactions.n_items:,}.")
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
        self.proposed = interactions.available & vectors.any(1)
        if self.config.index == "codes":
            self.nearest = Nearest.over(self.vectors, self.proposed, self.config, seed=self.seed)

    @cached_property
    def readable(self) -> Bool:
        """Looked for once: at 100,000 items it would be half of a request."""
        found: Bool = np.any(self.vectors, axis=1)
        return found

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        """A request without a past item that has a text gets nothing: there is nothing to be like."""
        past = only_readable(requests.history, self.readable).newest(self.config.history)
        taste = chosen(past, len(self.vectors)) @ self.vectors / np.maximum(past.lengths, 1)[:, None].astype(np.float32)
        if self.nearest is not None:
            return self.nearest.propose(np.asarray(taste, np.float32), k, allowed, "content", past.lengths > 0)
        scores = np.asarray(taste @ self.vectors.T, np.float32)
        scores[past.lengths == 0] = -np.inf
        scores[:, ~self.proposed] = -np.inf
        return top_k(allowed.mask(scores), k, "content", seed=self.seed)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        index = {} if self.nearest is None else self.nearest.arrays()
        return {"vectors": self.vectors, "proposed": self.proposed, "seed": np.array(self.seed), **index}

    @classmethod
    def from_arrays(cls, config: ContentConfig, arrays: Mapping[str, NDArray[Any]]) -> "Content":
        made = cls(config, seed=int(arrays["seed"]))
        made.vectors, made.proposed = arrays["vectors"], arrays["proposed"].astype(np.bool_)
        if config.index == "codes":
            made.nearest = Nearest.over(made.vectors, made.proposed, config, seed=made.seed, arrays=arrays)
        return made
