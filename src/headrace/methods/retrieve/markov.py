"""Last-item Markov chain: what users chose in the step after one like yours.

    p(j | i) = |i in a step, j in the same user's next| / (|i in a step, anything in the next| + shrink)
    score(u, j) = sum over the items i of u's last step of  p(j | i)

Events at one moment are one step without an inner order: all its items point to all items of the next.
Cost: fit O(sum over steps of |step| |next step|) as a sparse product; O(neighbours) a request and item of the last step.
Use it as the yardstick of every sequence model: one that can't beat it reads no more than the last item. It forgets all but the
last step, so it loses where taste is long-lived. Relation to ItemKNN: that one counts who chose both, in any order.
Source: the first-order chain of Rendle et al., WWW 2010 (FPMC), unfactorised; the shrinkage is ours (docs/papers/markov.md).
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy import sparse

from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, History, Int32, Int64, Requests
from headrace.nn.item_to_item import chosen, largest, spoken, strongest
from headrace.nn.topk import top_k


@config
class MarkovConfig:
    neighbours: Annotated[int, Gt(0)] = 200
    shrink: Annotated[float, Ge(0)] = 10.0


class Markov:
    """A closed-form `Retriever` that can say which item of the last step spoke for a proposal."""

    Config = MarkovConfig
    revision = 1

    def __init__(self, config: MarkovConfig, *, seed: int = 0):
        self.config, self.seed = config, seed
        self.transitions = sparse.csr_matrix((1, 1), dtype=np.float32)

    def fit(self, interactions: Interactions) -> None:
        steps, users = _steps(interactions.history)
        holds = chosen(steps, interactions.n_items)
        followed = np.flatnonzero(np.diff(users) == 0)
        counts = (holds[followed].T @ holds[followed + 1]).tocoo()
        left = np.asarray(counts.sum(1)).ravel()
        kept = interactions.available[counts.col]
        row, col = counts.row[kept], counts.col[kept]
        chance = counts.data[kept] / (left[row] + self.config.shrink)
        self.transitions = largest(row, col, chance, interactions.n_items, self.config.neighbours)

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        scores = spoken(_last_step(requests.history), self.transitions)
        scores[scores == 0] = -np.inf  # never seen to follow is no proposal, not a bad one
        return top_k(allowed.mask(scores), k, "markov", seed=self.seed)

    def because(self, requests: Requests, items: Int32) -> Int32:
        """The item of the last step with the largest share in each score: items [R, C] -> [R, C]."""
        last = _last_step(requests.history)
        return strongest(self.transitions, last.last(max(int(last.lengths.max(initial=0)), 1)), items)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        matrix = self.transitions
        return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr, "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: MarkovConfig, arrays: Mapping[str, NDArray[Any]]) -> "Markov":
        made = cls(config, seed=int(arrays["seed"]))
        n_items = len(arrays["indptr"]) - 1
        made.transitions = sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(n_items, n_items))
        return made


def _steps(history: History) -> tuple[History, Int64]:
    """One row a step, in time order, and each step's user."""
    rows = history.rows()
    first = np.ones(len(rows), np.bool_)
    first[1:] = (np.diff(rows) != 0) | (np.diff(history.at_us) != 0)
    starts = np.flatnonzero(first)
    return History(np.concatenate([starts, [len(rows)]]), history.items, history.at_us), rows[starts]


def _last_step(history: History) -> History:
    """Each row's events at its last moment."""
    if len(history) == 1 and len(history.items):
        return history.newest(int((history.at_us == history.at_us[-1]).sum()))
    rows, last_us = history.rows(), np.zeros(len(history), np.int64)
    last_us[rows] = history.at_us  # a row's events stand in time order, so its last one is what stays
    kept = history.at_us == last_us[rows]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(history)))])
    return History(offsets, history.items[kept], history.at_us[kept])
