"""What a ranker learns from: requests, what the retrievers proposed for them, and what was chosen or came of being shown."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.contracts.requests import Bool, Candidates, Float32, History, Requests


@dataclass(frozen=True)
class CandidateLists:
    """label [R, C]: 1 where the candidate is among the request's answers, else 0 (not shown is not disliked: order only).

    known [R, C]: whose labels say something, the shown ones' where labels are of impressions; None: all. The others are there
    because what a retriever said of one candidate is read beside what it said of the rest, as when serving.
    """

    requests: Requests
    candidates: Candidates
    label: Float32
    known: Bool | None = None

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
        known = None if self.known is None else self.known[rows]
        return CandidateLists(self.requests.take(rows), self.candidates.take(rows), self.label[rows], known)
