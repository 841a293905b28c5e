"""Rows of clicks as an advertiser's log has them: 13 binned numbers and 26 categories of very different sizes, of a known truth.

A category's codes fall as Zipf's law has it (log-uniform ranks). A row's label is drawn from

    sigmoid(bias + sum over fields of w_f[c_f] + sum over pairs (f, g) of <u_f[c_f], u_g[c_g]>)

so there is something for every field alone, something that only crosses of two find, and a best AUC that no model can pass.
Weights and factors are of one stream, so rows of any seed are of one world. Made, and no advertiser's.
"""

from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Float32, Float64, Int64
from headrace.contracts.rng import rng

BINS = 50
CATEGORIES = (
    1_460, 583, 131_072, 131_072, 305, 24, 12_517, 633, 3, 93_145, 5_683, 131_072, 3_194, 27, 14_992, 131_072, 10, 5_652, 2_173,
    4, 131_072, 18, 15, 131_072, 105, 131_072,
)  # fmt: skip
SIZES = (*[BINS] * 13, *CATEGORIES)
PAIRS, RANK = 30, 4


@dataclass(frozen=True)
class Rows:
    """codes [n, 39], label [n] of 0 and 1, chance [n]: the truth the label was drawn from."""

    codes: Int64
    label: Float32
    chance: Float64


def rows(n: int, seed: int) -> Rows:
    draw = rng(seed, "rows")
    numbers = np.log1p(np.exp(draw.normal(1.0, 1.5, (n, 13)))) * 6
    binned = np.minimum(numbers.astype(np.int64), BINS - 1)
    ranks = np.array(CATEGORIES, np.float64) ** draw.random((n, len(CATEGORIES)))
    codes = np.concatenate([binned, np.minimum(ranks.astype(np.int64), np.array(CATEGORIES) - 1)], 1)
    truth = rng(0, "rows", "truth")
    logit = np.full(n, -2.0)
    factors = []
    for field, size in enumerate(SIZES):
        weight, factor = truth.normal(0, 0.25, size), truth.normal(0, 1, (size, RANK)).astype(np.float32)
        logit += weight[codes[:, field]]
        factors.append(factor)
    for _ in range(PAIRS):
        one, other = truth.choice(len(SIZES), 2, replace=False)
        logit += 0.13 * np.einsum("nr,nr->n", factors[one][codes[:, one]], factors[other][codes[:, other]])
    chance = 1 / (1 + np.exp(-logit))
    return Rows(codes, (draw.random(n) < chance).astype(np.float32), chance)
