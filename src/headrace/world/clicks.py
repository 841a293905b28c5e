"""A made-up click log as a plain table: sparse fields, a rate of 2%, and the probability behind each row.

    logit = c + sum over fields f of  b_f[v_f]  +  sum over hidden pairs (f, g) of  <z_f[v_f], z_g[v_g]>

Each field's values are Zipf: a few are common, most are seen a handful of times or never, as advertisers, pages and users are.
What a value is worth (b, z) is the same for every seed; rows are drawn, each with its click. c makes the mean chance `rate`.
Shapes: values int64 [n, F], chance and click [n], rare int64 [n]: how many of a row's values are rarer than one in 2,000.
Cost O(n F). Use it where a table of known truth is wanted; the population with histories, pages and policies is the rest of
this room. Ours: no paper's.
"""

from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Float32, Float64, Int64
from headrace.contracts.rng import rng

SIZES = (24, 7, 12, 60, 200, 400, 800, 1_500, 3_000, 5_000, 30, 100)
"""Values of each field: hours, week days, devices, ... users, pages, advertisers."""
_PAIRS = ((3, 6), (4, 8), (5, 9), (6, 7), (2, 10), (8, 11), (7, 9), (0, 4))
_DIM = 3
_ZIPF = 1.1
_RARE = 1 / 2_000
_REFERENCE = 200_000


@dataclass(frozen=True, eq=False)
class Clicks:
    values: Int64
    chance: Float64
    click: Float32
    rare: Int64


@dataclass(frozen=True, eq=False)
class ClickTruth:
    """What every value is worth, and how often it comes."""

    shares: list[Float64]
    bias: list[Float64]
    vectors: list[Float64]
    level: float

    @classmethod
    def of(cls, rate: float = 0.02, *, seed: int = 0) -> "ClickTruth":
        draw = rng(seed, "clicks", "truth")
        shares, bias, vectors = [], [], []
        for size in SIZES:
            share = 1 / np.arange(1, size + 1) ** _ZIPF
            shares.append(share / share.sum())
            bias.append(draw.normal(0, 0.5, size))
            vectors.append(draw.normal(0, 0.45, (size, _DIM)))
        made = cls(shares, bias, vectors, 0.0)
        logits = made._logits(made._values(_REFERENCE, rng(seed, "clicks", "level")))
        low, high = -20.0, 20.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (middle, high) if _sigmoid(logits + middle).mean() < rate else (low, middle)
        return cls(shares, bias, vectors, low)

    def rows(self, n: int, draw: np.random.Generator) -> Clicks:
        values = self._values(n, draw)
        chance = _sigmoid(self._logits(values) + self.level)
        rare = np.stack([share[values[:, field]] < _RARE for field, share in enumerate(self.shares)], 1)
        return Clicks(values, chance, (draw.random(n) < chance).astype(np.float32), rare.sum(1))

    def _values(self, n: int, draw: np.random.Generator) -> Int64:
        drawn = [np.searchsorted(np.cumsum(share)[:-1], draw.random(n)) for share in self.shares]
        return np.stack(drawn, 1).astype(np.int64)

    def _logits(self, values: Int64) -> Float64:
        logits = np.zeros(len(values))
        for field, bias in enumerate(self.bias):
            logits += bias[values[:, field]]
        for one, other in _PAIRS:
            logits += (self.vectors[one][values[:, one]] * self.vectors[other][values[:, other]]).sum(1)
        return logits


def _sigmoid(logits: Float64) -> Float64:
    p: Float64 = 1 / (1 + np.exp(-logits))
    return p
