"""What a log's pages were drawn from, seen through what stood first on them.

    of figures f of candidates:   mean f  =  sum of w f / sum of w  over impressions of first slots,   w = 1 / p

p is the chance that the page's policy gave the item when it drew the first slot, which is the only one drawn from all of a
request's candidates: the next is drawn from what is left. So w undoes whatever the policy prefers, as long as it gives each
candidate a chance, and a candidate counts as often as it could be drawn. What is estimated is what would have come of each in
the first slot. A weight counts sqrt(n) times the mean of n at most, which bounds what one impression can do and pulls towards
what the policy prefers where something is cut. A policy whose every p is 1 says nothing of what it did not show.
Shapes: one value an impression [N]. Cost O(N). Paper: Ionides, J. Comput. Graph. Stat. 2008 (truncated importance sampling).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.requests import Float64
from headrace.evaluate.pointwise import Numbers


@dataclass(frozen=True)
class Weights:
    """values [N], of mean 1. cut: how many would weigh more than `most`."""

    values: Float64
    cut: int
    most: float

    @property
    def effective(self) -> float:
        """As many impressions of equal weight would say as much."""
        total = float(self.values.sum())
        return total * total / float((self.values**2).sum()) if total else 0.0


def weights(p: Numbers) -> Weights:
    """p [N]: chances, above 0."""
    raw = 1.0 / np.asarray(p, np.float64)
    most = float(np.sqrt(len(raw)) * raw.mean()) if len(raw) else 0.0
    capped = np.minimum(raw, most)
    mean = float(capped.mean()) if len(raw) else 1.0
    return Weights(capped / mean, int((raw > most).sum()), most / mean)


def drawn_p(tables: Path, rows: pl.DataFrame) -> pl.Series:
    """Of each shown row (request_id, position, propensity), the chance that it was drawn first with; null: it was not, or
    nobody knows, or its policy leaves nothing to chance."""
    policies = pl.read_parquet(tables / "requests.parquet", columns=["request_id", "policy_id"])
    whose = rows.select("request_id", "position", "propensity").join(policies, on="request_id", how="left", maintain_order="left")
    counted_from = min(1, int(rows["position"].min() or 0))  # type: ignore[arg-type]
    chance = (pl.col("propensity") < 1).any().over("policy_id")
    first = (pl.col("position") == counted_from) & (pl.col("propensity") > 0) & chance
    return whose.select(drawn_p=pl.when(first).then(pl.col("propensity")))["drawn_p"]
