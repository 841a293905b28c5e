"""EASE: a linear model that foresees each item from a user's other items, in closed form.

    min over B with diag(B) = 0 of  ||X - X B||² + λ ||B||²;   P = (XᵀX + λ I)⁻¹,   B = I - P diag(1 / P_jj)
    score(u, j) = sum over the items i of u of  B_ij

X [users, n_items] is 1 where a user chose an item. Cost: fit O(n_items³) in float32 (2,000 items: under a
second; 20,000: minutes) and 2 · 4 · n_items² bytes; O(history × n_items) a request.
Use it on catalogues of up to some 20,000 items: hardly anything beats it there without the order of events. It needs all of the
matrix at once, knows no order and no item without users. Relation to ItemKNN: the same use of an item-to-item matrix, but weights
are learned together, so what two alike items say is not counted twice; they can be negative.
Paper: Steck, WWW 2019, equations 4 and 8 (docs/papers/ease.md).
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, Int32, Requests
from headrace.nn.item_to_item import once, strongest, summed
from headrace.nn.topk import top_k


@config
class EASEConfig:
    l2: Annotated[float, Gt(0)] = 200.0
    history: Annotated[int, Gt(0)] = 1000
    """Newest items of a user that speak."""
    most_items: Annotated[int, Gt(1)] = 20_000
    """A larger catalogue is refused: two matrices of its square must fit in memory."""


class EASE:
    """A closed-form `Retriever` that can say which past item spoke for a proposal."""

    Config = EASEConfig
    revision = 1

    def __init__(self, config: EASEConfig, *, seed: int = 0):
        self.config, self.seed = config, seed
        self.weights: Float32 = np.zeros((1, 1), np.float32)
        self.proposed: Bool = np.zeros(1, np.bool_)

    def fit(self, interactions: Interactions) -> None:
        n_items = interactions.n_items
        if n_items > self.config.most_items:
            raise ConfigError(
                f"ease: the catalogue has {n_items:,} items, so its fit needs {8 * n_items**2 / 1e9:,.1f} GB; most_items is "
                f"{self.config.most_items:,}. Raise it where the memory is there, or use itemknn, which keeps little."
            )
        from scipy.linalg import cho_factor, cho_solve  # here, as a server that only answers has no use for it

        users = once(interactions.history, n_items)
        gram = (users.T @ users).toarray()
        gram[np.diag_indices(n_items)] += self.config.l2
        factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        inverse = cho_solve(factor, np.eye(n_items, dtype=np.float32), overwrite_b=True, check_finite=False)
        weights = np.divide(inverse, -np.diag(inverse), out=inverse)
        np.fill_diagonal(weights, 0.0)
        self.weights = np.ascontiguousarray(weights)
        self.proposed = interactions.available & (interactions.item_counts() > 0)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        """A request without a known past item gets nothing: nothing speaks for any item."""
        scores = summed(requests.history.newest(self.config.history), self.weights)
        np.copyto(scores, -np.inf, where=~self.proposed)
        return top_k(allowed.mask(scores), k, "ease", seed=self.seed)

    def because(self, requests: Requests, items: Int32) -> Int32:
        """The past item with the largest positive share in each score: items [R, C] -> [R, C]."""
        lengths = np.minimum(requests.history.lengths, self.config.history)
        return strongest(self.weights, requests.history.last(max(int(lengths.max(initial=0)), 1)), items)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"weights": self.weights, "proposed": self.proposed, "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: EASEConfig, arrays: Mapping[str, NDArray[Any]]) -> "EASE":
        made = cls(config, seed=int(arrays["seed"]))
        made.weights, made.proposed = arrays["weights"], arrays["proposed"]
        return made
