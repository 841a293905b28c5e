"""Item-based nearest neighbours: items that the same users chose are alike; a user is offered what is like their own items.

    sim(i, j) = |U_i and U_j| / (sqrt(|U_i| |U_j|) + shrink),  each item keeping its `neighbours` most similar
    score(u, j) = sum over i in the newest `history` items of u of  sim(i, j)

Cost: fit O(sum over users of |history|²) as a sparse product; O(history × neighbours) a request.
Use it first: no training, strong on dense logs, and each proposal has a reason ("because you chose i"). It loses to sequence
models where order matters and on items with few users. Relation to EASE: EASE learns the same matrix by ridge regression.
Paper: Sarwar et al., WWW 2001; shrinkage after Bell and Koren, KDD 2007.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy import sparse

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Float32, Int32, Requests
from headrace.nn.item_to_item import nearest, once, spoken, strongest
from headrace.nn.topk import top_k


@config
class ItemKNNConfig:
    neighbours: Annotated[int, Gt(0)] = 100
    shrink: Annotated[float, Ge(0)] = 10.0
    history: Annotated[int, Gt(0)] = 50


class ItemKNN:
    """A closed-form `Retriever` that can say which past item spoke for a proposal."""

    Config = ItemKNNConfig
    revision = 2

    def __init__(self, config: ItemKNNConfig, *, seed: int = 0):
        self.config, self.seed = config, seed
        self.similarity = sparse.csr_matrix((1, 1), dtype=np.float32)

    def fit(self, interactions: Interactions) -> None:
        users = once(interactions.history, interactions.n_items)
        size = np.sqrt(np.asarray(users.sum(0), np.float32).ravel())  # users per item
        of_item = users.T.tocsr()

        def similarity(rows: slice) -> Float32:
            together = np.asarray((of_item[rows] @ users).todense(), np.float32)
            alike = np.full(together.shape, -np.inf, np.float32)
            np.divide(together, size[rows, None] * size + np.float32(self.config.shrink), out=alike, where=together > 0)
            alike[:, ~interactions.available] = -np.inf
            alike[np.arange(len(alike)), np.arange(rows.start, rows.stop)] = -np.inf
            return alike

        self.similarity = nearest(similarity, interactions.n_items, self.config.neighbours, seed=self.seed)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        scores = spoken(requests.history.newest(self.config.history), self.similarity)
        scores[scores == 0] = -np.inf  # no neighbour in common is no proposal, not a bad one
        return top_k(allowed.mask(scores), k, "itemknn", seed=self.seed)

    def because(self, requests: Requests, items: Int32) -> Int32:
        """The past item with the largest share in each score: items [R, C] -> [R, C]."""
        return strongest(self.similarity, requests.history.last(self.config.history), items)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        matrix = self.similarity
        return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: ItemKNNConfig, arrays: Mapping[str, NDArray[Any]]) -> "ItemKNN":
        made = cls(config, seed=int(arrays["seed"]))
        n_items = len(arrays["indptr"]) - 1
        made.similarity = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(n_items, n_items))
        return made
