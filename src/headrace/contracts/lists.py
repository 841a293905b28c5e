"""What a ranker learns from: requests, what the retrievers proposed for them, and what was chosen or came of being shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Candidates, Float32, History, Requests
from headrace.contracts.seams import PseudoLabels


@dataclass(frozen=True)
class CandidateLists:
    """label [R, C] in [0, 1]: 1 where the candidate is among the request's answers, else 0 (not shown is not disliked: order
    only).

    known [R, C]: whose labels say something, the shown ones' where labels are of impressions; None: all. The others are there
    because what a retriever said of one candidate is read beside what it said of the rest, as when serving.
    tasks: name -> label [R, C] of each of several things to learn, NaN where its is not known; `label` is the first one's.
    pseudo: what a labeler says of the candidates nobody saw; none of a known one counts.
    """

    requests: Requests
    candidates: Candidates
    label: Float32
    known: Bool | None = None
    tasks: Mapping[str, Float32] = field(default_factory=dict)
    pseudo: PseudoLabels | None = None

    def __post_init__(self) -> None:
        for name, label in {"label": self.label, **{f"label of {name}": label for name, label in self.tasks.items()}}.items():
            wrong = np.argwhere((label < 0) | (label > 1))
            if len(wrong):
                row, place = wrong[0]
                raise DataError(
                    f"candidate lists: the {name} of request {self.requests.ids[row]}, candidate {place}, is "
                    f"{label[row, place]:g}: expected a number in [0, 1]."
                )

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
        pseudo = None if self.pseudo is None else PseudoLabels(self.pseudo.label[rows], self.pseudo.weight[rows])
        return CandidateLists(
            self.requests.take(rows), self.candidates.take(rows), self.label[rows],
            None if self.known is None else self.known[rows], {name: label[rows] for name, label in self.tasks.items()}, pseudo,
        )  # fmt: skip

    @property
    def unshown(self) -> Candidates:
        """The candidates whose labels are not known, each in its place; item 0 in the others'."""
        hidden = np.zeros_like(self.candidates.there) if self.known is None else ~self.known
        return replace(self.candidates, items=np.where(hidden, self.candidates.items, 0))
