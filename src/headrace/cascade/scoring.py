"""Candidates proposed and scored: one piece of code for the lists a scorer is trained on and for the answers it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headrace.cascade.calibrated import Calibrated
from headrace.cascade.join import join
from headrace.cascade.steering import PREFERENCE, Steering
from headrace.contracts.batch import Batch
from headrace.contracts.requests import Allowed, Candidates, Float32, Requests
from headrace.contracts.seams import Retriever
from headrace.data.features import Features
from headrace.data.rank_inputs import candidate_arrays, candidate_batch, pairs_in, user_arrays, user_batch

SHOWN, NEWCOMERS = "shown", "newcomers"
_SAID_BY_NONE = ("fallback", SHOWN, PREFERENCE, NEWCOMERS)  # scores that no scorer looks at


@dataclass(frozen=True)
class Scoring:
    """A scorer as a stage: stage "prerank" or "rank", the name in the TOML, and how many of the best go on.

    calibrated: what its logits go through last; None: they are the scores. Rows that it makes equal keep the scorer's order.
    """

    stage: str
    name: str
    scorer: Any
    keep: int
    calibrated: Calibrated | None = None


def propose(
    retrievers: Mapping[str, Retriever], requests: Requests, k: int, allowed: Allowed, shown: Candidates | None = None
) -> Candidates:
    """Every retriever's proposals, joined. shown: what was shown for the requests joins them, its labels as the score SHOWN."""
    found = {name: retriever.retrieve(requests, k, allowed) for name, retriever in retrievers.items()}
    return join(found if shown is None else {**found, SHOWN: shown})


def with_pairs(features: Features, requests: Requests, candidates: Candidates) -> Candidates:
    """The candidates, carrying what is known of each with its request, as of the request's moment."""
    pairs = features.pairs_at(requests.users, candidates.items, requests.at_us)
    return replace(candidates, features={**candidates.features, **pairs}) if pairs else candidates


def score(
    scorings: Sequence[Scoring], requests: Requests, candidates: Candidates, steering: Steering | None = None
) -> Candidates:
    """Through the stages in order: each adds its score under its stage's name, sees those before it, and keeps its best.

    steering: moves each stage's scores by the preference that requests come with. Scorers are in evaluation mode.
    """
    for scoring in scorings:
        _, candidates = scored(scoring, requests, candidates, steering)
    return candidates


def scored(
    scoring: Scoring, requests: Requests, candidates: Candidates, steering: Steering | None = None
) -> tuple[Candidates, Candidates]:
    """One stage: all that reached it with its score, best first, and those it keeps."""
    scores = {**candidates.scores, scoring.stage: logits_of(scoring.scorer, requests, candidates)}
    everything = replace(candidates, scores=scores)
    if scoring.calibrated is not None:
        everything = everything.top(scoring.stage, everything.items.shape[1])
        calibrated = scoring.calibrated(everything.scores[scoring.stage], requests)
        everything = replace(everything, scores={**everything.scores, scoring.stage: calibrated})
    if steering is not None:
        everything = steering(requests, everything, scoring.stage)
    by, most = list(everything.scores)[-1], everything.items.shape[1]
    everything = everything.top(by, most)
    return everything, everything.first(scoring.keep)


def logits_of(scorer: Any, requests: Requests, candidates: Candidates) -> Float32:
    """What a scorer makes of each candidate, in its place [R, C], NaN where there is none. Of several: what it orders by."""
    return next(iter(all_logits_of(scorer, requests, candidates).values()))


def all_logits_of(scorer: Any, requests: Requests, candidates: Candidates) -> dict[str, Float32]:
    """By task, [R, C] each; first what the scorer orders by."""
    found: Mapping[str, NDArray[Any]]
    if hasattr(scorer, "array_logits"):  # one as it is served, that needs no tensors
        items = candidate_arrays(candidates, *_read(scorer, candidates))
        found = scorer.array_logits(user_arrays(requests, scorer.schema), items)
    else:
        user, batch = batches_for(scorer, requests, candidates)
        with torch.inference_mode():
            outputs = scorer.score(scorer.user(user), batch)
        found = {name: logits.cpu().numpy() for name, logits in outputs.logits.items()}
    there = candidates.there
    return {name: np.where(there, logits, np.nan).astype(np.float32) for name, logits in found.items()}


def batches_for(scorer: Any, requests: Requests, candidates: Candidates) -> tuple[Batch, Batch]:
    """What its `user` and its `score` read of them."""
    user, batch = user_batch(requests, scorer.schema), candidate_batch(candidates, *_read(scorer, candidates))
    return _where(user, scorer), _where(batch, scorer)


def _read(scorer: Any, candidates: Candidates) -> tuple[list[str], list[str]]:
    """Stages whose scores it reads, and the candidates' features."""
    return [name for name in candidates.scores if name not in _SAID_BY_NONE], pairs_in(scorer.candidate_schema)


def _where(batch: Batch, scorer: Any) -> Batch:
    """On the scorer's device: while it trains, that may be a GPU."""
    parameter = next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None
    return batch if parameter is None else {name: values.to(parameter.device) for name, values in batch.items()}
