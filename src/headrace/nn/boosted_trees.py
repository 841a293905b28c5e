"""Gradient-boosted regression trees, of an order or of probabilities, and a search for their settings on rows held out.

    listwise     LambdaMART: each tree is fitted to the gradient of NDCG of the groups
    pointwise    each tree is fitted to y - p, the gradient of the cross-entropy; a score is a logit

`searched`: the settings given and `trials` - 1 random draws of leaves, rate and rows a leaf, each boosted until 30 further trees
make the held rows no better: NDCG@10 listwise, cross-entropy pointwise. The best of them is fitted again on all rows, with as
many trees as it had then.
Shapes: rows [n, features], labels [n] in [0, 1]; groups: rows of each list, in order. Cost O(trees · n · features) a fit.
Papers: Friedman, Annals of Statistics 2001; Burges, MSR-TR-2010-82; LightGBM (Ke et al., NeurIPS 2017) is what boosts.
"""

from dataclasses import dataclass, replace
from math import exp, log
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import MissingExtra
from headrace.contracts.requests import Float32, Int64
from headrace.contracts.rng import rng, seed_of

TreeLoss = Literal["listwise", "pointwise"]
_PATIENCE = 30
_MORE_TREES = 10
"""Times the trees asked for: so many a trial may have at most, where its rate is low."""
_LEAVES, _RATES, _ROWS = (4, 128), (0.02, 0.3), (5, 500)


@dataclass(frozen=True)
class TreeSettings:
    trees: int = 100
    leaves: int = 15
    learning_rate: float = 0.1
    rows_per_leaf: int = 50


@dataclass(frozen=True, eq=False)
class TreeRows:
    """rows [n, features]; labels [n]; groups: rows of each list, None where no order is learned."""

    rows: Float32
    labels: Float32
    groups: Int64 | None = None

    def joined(self, other: "TreeRows") -> "TreeRows":
        groups = None if self.groups is None or other.groups is None else np.concatenate([self.groups, other.groups])
        return TreeRows(np.concatenate([self.rows, other.rows]), np.concatenate([self.labels, other.labels]), groups)


def boosted(known: TreeRows, settings: TreeSettings, loss: TreeLoss, *, seed: int, threads: int = 1) -> Any:
    """LightGBM's `Booster`. The same bits for the same rows, settings and number of threads."""
    lightgbm = the_lightgbm()
    return lightgbm.train(_asked(settings, loss, seed, threads), _data(known), settings.trees)


def stopped(
    known: TreeRows, held: TreeRows, settings: TreeSettings, loss: TreeLoss, *, most: int, seed: int, threads: int = 1
) -> tuple[TreeSettings, Any, float]:
    """Boosted until the held rows say stop, at `most` trees: the settings with the best number of trees, a booster of the known
    rows that scores with as many, and the held rows' cross-entropy, or -NDCG@10."""
    lightgbm = the_lightgbm()
    asked = {**_asked(settings, loss, seed, threads), "metric": "ndcg" if loss == "listwise" else "cross_entropy"}
    asked |= {"eval_at": [10]} if loss == "listwise" else {}
    data, stop = _data(known), lightgbm.early_stopping(_PATIENCE, verbose=False)
    made = lightgbm.train(asked, data, most, valid_sets=[_data(held, data)], valid_names=["held"], callbacks=[stop])
    value = float(next(iter(made.best_score["held"].values()))) * (-1 if loss == "listwise" else 1)
    return replace(settings, trees=max(made.best_iteration, 1)), made, value


def searched(
    known: TreeRows, held: TreeRows, first: TreeSettings, loss: TreeLoss, *, trials: int, seed: int, threads: int = 1
) -> tuple[TreeSettings, Any]:
    """The best of `trials` settings, `first` among them, and a booster of them on known and held rows together."""
    most, tried = _MORE_TREES * first.trees, drawn(first, trials, seed=seed)
    ended = [stopped(known, held, one, loss, most=most, seed=seed, threads=threads) for one in tried]
    best, _, _ = min(ended, key=lambda one: one[2])
    return best, boosted(known.joined(held), best, loss, seed=seed, threads=threads)


def drawn(first: TreeSettings, trials: int, *, seed: int) -> list[TreeSettings]:
    """The settings of a search: `first`, then draws."""
    draw = rng(seed, "boosted trees", "search")
    return [first, *(_drawn(first, draw) for _ in range(trials - 1))]


def scores(booster: Any, rows: NDArray[np.float32], *, threads: int = 1) -> Float32:
    """[n, features] -> [n]: logits where the loss was pointwise."""
    found: Float32 = booster.predict(rows, raw_score=True, num_threads=threads).astype(np.float32)
    return found


def the_lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise MissingExtra("LightGBM", "lightgbm", "The ranker lambdamart") from None
    return lightgbm


def _drawn(first: TreeSettings, draw: np.random.Generator) -> TreeSettings:
    leaves, rate, rows = (exp(draw.uniform(log(low), log(high))) for low, high in (_LEAVES, _RATES, _ROWS))
    return replace(first, leaves=round(leaves), learning_rate=rate, rows_per_leaf=round(rows))


def _data(known: TreeRows, of: Any = None) -> Any:
    return the_lightgbm().Dataset(known.rows, known.labels, group=known.groups, reference=of)


def _asked(settings: TreeSettings, loss: TreeLoss, seed: int, threads: int) -> dict[str, Any]:
    # "cross_entropy" and not "binary", whose labels must be 0 or 1
    return {
        "objective": "lambdarank" if loss == "listwise" else "cross_entropy", "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate, "min_data_in_leaf": settings.rows_per_leaf, "num_threads": threads,
        "seed": seed_of(seed) % 2**31, "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip
