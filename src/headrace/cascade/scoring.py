"""Candidates proposed and scored: one piece of code for the lists a scorer is trained on and for the answers it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from headrace.cascade.join import join
from headrace.contracts.batch import Batch
from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.contracts.seams import Retriever
from headrace.data.rank_inputs import candidate_batch, user_batch


@dataclass(frozen=True)
class Scoring:
    """A scorer as a stage: stage "prerank" or "rank", the name in the TOML, and how many of the best go on."""

    stage: str
    name: str
    scorer: Any
    keep: int


def propose(retrievers: Mapping[str, Retriever], requests: Requests, k: int, allowed: Allowed) -> Candidates:
    """Every retriever's proposals, joined."""
    return join({name: retriever.retrieve(requests, k, allowed) for name, retriever in retrievers.items()})


def score(scorings: Sequence[Scoring], requests: Requests, candidates: Candidates) -> Candidates:
    """Through the stages in order: each adds its score under its stage's name, sees those before it, and keeps its best.

    Scorers are in evaluation mode.
    """
    for scoring in scorings:
        seen = [name for name in candidates.scores if name != "fallback"]
        with torch.inference_mode():
            state = scoring.scorer.user(_where(user_batch(requests, scoring.scorer.schema), scoring.scorer))
            outputs = scoring.scorer.score(state, _where(candidate_batch(candidates, seen), scoring.scorer))
        logits = next(iter(outputs.logits.values())).cpu().numpy()
        scores = np.where(candidates.there, logits, np.nan).astype(np.float32)
        candidates = Candidates(candidates.items, {**candidates.scores, scoring.stage: scores}).top(scoring.stage, scoring.keep)
    return candidates


def _where(batch: Batch, scorer: Any) -> Batch:
    """On the scorer's device: while it trains, that may be a GPU."""
    parameter = next(scorer.parameters(), None) if isinstance(scorer, nn.Module) else None
    return batch if parameter is None else {name: values.to(parameter.device) for name, values in batch.items()}
