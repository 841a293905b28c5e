"""Small problems in which every action and page can be gone through, so that an expectation is a sum."""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from hypothesis import strategies as st

from headrace.contracts.requests import Float64, Int64
from headrace.contracts.rng import rng

seeds = st.integers(0, 10**6)


@dataclass(frozen=True)
class Pages:
    """Every page of S of A items, in each of X contexts, a row each: [n = X pages, S].

    logged, target: log-probability given the slots above, under softmax without replacement. chance [n]: of context and page
    under the logger; target_chance [n] the same under the target.
    """

    items: Int64
    context: Int64
    logged: Float64
    target: Float64

    @property
    def chance(self) -> Float64:
        return np.asarray(np.exp(self.logged.sum(1)) / (self.context.max() + 1))

    @property
    def target_chance(self) -> Float64:
        return np.asarray(np.exp(self.target.sum(1)) / (self.context.max() + 1))


def pages(seed: int, contexts: int = 2, items: int = 4, slots: int = 3) -> Pages:
    draw = rng(seed, "pages")
    every = np.array(list(permutations(range(items), slots)))
    context = np.repeat(np.arange(contexts), len(every))
    shown = np.tile(every, (contexts, 1))
    logs = [without_replacement(scale * draw.normal(size=(contexts, items)), context, shown) for scale in (0.7, 1.5)]
    return Pages(shown, context, *logs)


def without_replacement(scores: Float64, context: Int64, shown: Int64) -> Float64:
    """log p(item | slots above) of softmax over what is not on the page yet."""
    left = np.exp(scores)[context]
    rows = np.arange(len(shown))
    found = np.empty(shown.shape)
    for slot in range(shown.shape[1]):
        found[:, slot] = np.log(left[rows, shown[:, slot]] / left.sum(1))
        left[rows, shown[:, slot]] = 0.0
    return found


def over_prefix(drawn: Pages, seed: int, depth: int) -> Float64:
    """A number [n] of its own for each context and items down to `depth`."""
    keys = [drawn.context, *(drawn.items[:, slot] for slot in range(depth))]
    _, row = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    values: Float64 = rng(seed, "prefix", depth).random(row.max() + 1)[row.ravel()]
    return values
