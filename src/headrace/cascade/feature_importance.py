"""Which features a scorer leans on, where it will score and where it was labelled: each shuffled in turn, the rest as it was.

    moved   = mean over unshown candidates of  |f(x) - f(x with the feature of another)|
    entropy = normalized entropy of the shown ones with the feature shuffled, less without

f is the probability. A feature of users is shuffled over requests, one of candidates over all that are there, inside one batch of
up to 512 requests, the newest. Labels are of few rows, and of those that were chosen to be shown; `moved` needs none, so it ranks
features by the traffic that is scored. A feature that moves much and whose loss costs nothing is noise to shown candidates or
matters to others alone: look before you drop it. An item's number carries all that is known of it ("items"); what retrievers said
is one field, and so are a history and its ages.
Shapes: R requests of C candidates, F fields. Cost: F + 1 passes of the scorer over [R, C].
Paper: the semi-supervised feature selection of arXiv 2502.06834; the formula is our reading (docs/papers/ukdsl.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from headrace.cascade.calibrated import known_of
from headrace.cascade.scoring import batches_for
from headrace.cascade.validation import probabilities
from headrace.contracts.batch import Batch
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng
from headrace.data.rank_inputs import AGES
from headrace.evaluate.pointwise import normalized_entropy

_MOST = 512


@dataclass(frozen=True)
class Importance:
    """moved: of unshown candidates' probabilities, NaN where none is. entropy: of shown ones, NaN where all labels are alike."""

    moved: float
    entropy: float


def importances(scorer: Any, lists: CandidateLists, *, seed: int, task: str | None = None) -> dict[str, Importance]:
    """By field, the one that moves most first. task: of several logits, whose; else what the scorer orders by."""
    lists = lists.take(np.sort(np.argsort(lists.requests.at_us, kind="stable")[-_MOST:]))
    user, candidates = batches_for(scorer, lists.requests, lists.candidates)
    shown, unshown = known_of(lists), lists.unshown.there
    labels = lists.label[shown].astype(np.float64)
    told = 0 < labels.sum() < len(labels)
    plain = _predicted(scorer, user, candidates, task)

    def importance(p: Float64) -> Importance:
        moved = float(np.abs(p - plain)[unshown].mean()) if unshown.any() else np.nan
        before, after = (normalized_entropy(labels, one[shown]) if told else np.nan for one in (plain, p))
        return Importance(moved, after - before)

    draw, there, found = rng(seed, "feature importance"), torch.from_numpy(lists.candidates.there), {}
    for name in sorted(scorer.schema.keys() - {AGES}):
        rows, of = torch.from_numpy(draw.permutation(len(lists))), {name, AGES} & user.keys() if name == "history" else {name}
        found[name] = importance(_predicted(scorer, {**user, **{one: user[one][rows] for one in of}}, candidates, task))
    for name in sorted(scorer.candidate_schema):
        values = candidates[name].clone()
        values[there] = values[there][torch.from_numpy(draw.permutation(int(there.sum())))]
        found[name] = importance(_predicted(scorer, user, {**candidates, name: values}, task))
    return dict(sorted(found.items(), key=lambda pair: -np.nan_to_num(pair[1].moved)))


def _predicted(scorer: Any, user: Batch, candidates: Batch, task: str | None) -> Float64:
    with torch.inference_mode():
        logits = scorer.score(scorer.user(user), candidates).logits
    return probabilities((logits[task] if task in logits else next(iter(logits.values()))).cpu().numpy())


def importances_told(found: Mapping[str, Importance]) -> dict[str, str]:
    """For the report."""
    by_entropy = sorted(found, key=lambda name: -np.nan_to_num(found[name].entropy))
    return {
        name: f"shuffled, it moves probabilities of the unshown by {one.moved:.4f}"
        + ("" if np.isnan(one.entropy) else f"; NE of the shown by {one.entropy:+.4f}, number {by_entropy.index(name) + 1} there")
        for name, one in found.items()
    }
