"""A claim as an inequality with a margin, and its verdict from paired differences.

Each arm is run with several seeds on the same users. The difference is paired by (seed, user); its interval is a two-level
bootstrap: seeds are drawn, then users. The users are the same for every seed, so one draw of them serves all seeds: drawing them
anew for each would pretend to five times as many people.

| verdict | better | not worse |
|---|---|---|
| met | lo > margin | lo > -margin |
| not met | hi <= margin | hi <= -margin |
| null | otherwise | otherwise |
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.rng import rng

Verdict = Literal["met", "not met", "null"]
Values = NDArray[np.float64]
_AT_ONCE = 64


@dataclass(frozen=True)
class Claim:
    """says: the sentence that is tested. published: what the paper reports, cited. protocol: the split it is tested on.

    form "not worse": a non-inferiority claim, margin is what may be lost. less: the metric is a cost, so less of it is better.
    """

    says: str
    published: str
    metric: str
    better: str
    than: str
    protocol: str
    margin: float = 0.0
    form: Literal["better", "not worse"] = "better"
    less: bool = False

    def lead(self, better: Values, than: Values) -> Values:
        """How far the better arm is ahead, in the metric's own units, whichever way it counts."""
        return than - better if self.less else better - than

    def verdict(self, lo: float, hi: float) -> Verdict:
        bar = self.margin if self.form == "better" else -self.margin
        return "met" if lo > bar else "not met" if hi <= bar else "null"


@dataclass(frozen=True)
class Interval:
    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Tested:
    """A claim, by how much the better arm leads, and what that says of it."""

    claim: Claim
    difference: Interval
    verdict: Verdict


def two_level(values: Values, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """values [seeds, users], a figure or a difference; the mean and its 95% interval. O(resamples × seeds × users)."""
    seeds, users = values.shape
    draw = rng(seed, "two-level bootstrap", seeds, users)
    means = []
    for start in range(0, resamples, _AT_ONCE):
        n = min(_AT_ONCE, resamples - start)
        seed_weight = draw.multinomial(seeds, np.full(seeds, 1 / seeds), n) / seeds
        user_weight = draw.multinomial(users, np.full(users, 1 / users), n) / users
        means.append(np.einsum("bs,su,bu->b", seed_weight, values, user_weight, optimize=True))
    lo, hi = np.percentile(np.concatenate(means), [2.5, 97.5])
    return Interval(float(values.mean()), float(lo), float(hi))
