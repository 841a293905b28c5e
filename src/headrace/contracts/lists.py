"""What a ranker learns from: requests, what the retrievers proposed for them, and what was chosen."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.contracts.requests import Candidates, Float32, History, Requests


@dataclass(frozen=True)
class CandidateLists:
    """label [R, C]: 1 where the candidate is among the request's answers, else 0 (not shown is not disliked: order only)."""

    requests: Requests
    candidates: Candidates
    label: Float32

    @classmethod
    def of(cls, requests: Requests, candidates: Candidates, answers: History) -> "CandidateLists":
        size = max(int(candidates.items.max(initial=0)), int(answers.items.max(initial=0))) + 1
        chosen = np.unique(answers.rows() * size + answers.items)
        keys = np.arange(len(candidates))[:, None] * size + candidates.items
        label = np.isin(keys, chosen) & candidates.there
        return cls(requests, candidates, label.astype(np.float32))

    def __len__(self) -> int:
        return len(self.requests)

    def take(self, rows: Any) -> "CandidateLists":
        return CandidateLists(self.requests.take(rows), self.candidates.take(rows), self.label[rows])
