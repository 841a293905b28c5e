"""What a ranker keeps of a user, in bytes, and the time it takes to make one and to score one request's candidates from it.

    bytes a user = sum over the tensors of `scorer.user(one request)`

A state is as large whoever the user is, because histories are padded to what the ranker reads. Times are of a few of the test
requests, one at a time, as they come when serving, with the candidates that reach the ranker. They are CPU time of this machine
on the eager model, not of what is served through ONNX Runtime, so they are told apart from the other figures. Cost: the
retrievers on those requests, and at most about 0.3 CPU-seconds of the ranker.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from headrace.cascade.cascade import Cascade
from headrace.cascade.scoring import batches_for, score
from headrace.contracts.requests import Requests
from headrace.contracts.seams import State

_REQUESTS = 32
_MOST_MS = 200.0


@dataclass(frozen=True)
class UserStates:
    """bytes: by the state's tensors. candidates: of each request. make_ms, score_ms: of as many as there was time for."""

    bytes: dict[str, int]
    candidates: list[int]
    make_ms: list[float]
    score_ms: list[float]

    def told(self) -> dict[str, Any]:
        """What is the same on every machine."""
        parts = ", ".join(f"{name} {size:,}" for name, size in self.bytes.items())
        candidates = int(np.median(self.candidates))
        return {"bytes a user": sum(self.bytes.values()), "of which": parts, "candidates a request, median": candidates}

    def timings(self) -> dict[str, float]:
        """Medians."""
        return {
            "CPU ms to make one": round(float(np.median(self.make_ms)), 3),
            "CPU ms to score a request's candidates": round(float(np.median(self.score_ms)), 3),
        }


def user_states(cascade: Cascade, requests: Requests) -> UserStates:
    """Of the cascade's last scorer. requests: evenly taken of these, one or more."""
    rows = np.unique(np.linspace(0, len(requests) - 1, min(_REQUESTS, len(requests))).astype(np.int64))
    asked = requests.take(rows)
    candidates = score(cascade.scorings[:-1], asked, cascade.recall(asked), cascade.steering)
    scorer, make_ms, score_ms = cascade.scorings[-1].scorer, list[float](), list[float]()
    state: State = {}
    for row in range(-1, len(asked)):  # the first call of all pays for what the others find ready, so it does not count
        user, items = batches_for(scorer, asked.take([max(row, 0)]), candidates.take([max(row, 0)]))
        with torch.inference_mode():
            begun = time.process_time()
            state = scorer.user(user)
            made = time.process_time()
            scorer.score(state, items)
            done = time.process_time()
        if row >= 0:
            make_ms.append(1e3 * (made - begun))
            score_ms.append(1e3 * (done - made))
        if sum(make_ms) + sum(score_ms) > _MOST_MS:
            break
    size = {name: values.numel() * values.element_size() for name, values in state.items()}
    return UserStates(size, candidates.there.sum(1).tolist(), make_ms, score_ms)


def with_timings(facts: Mapping[str, Any], timings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Groups of facts, with what was timed in the group of its name."""
    return {**facts, **{name: {**facts.get(name, {}), **more} for name, more in timings.items()}}
