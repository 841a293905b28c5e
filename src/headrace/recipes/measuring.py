"""What a fitted retriever is measured by: one figure on validation that it is chosen by, and on the test a value a user."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Allowed
from headrace.contracts.rng import rng
from headrace.data.holdouts import Held
from headrace.evaluate.bootstrap import by_user
from headrace.evaluate.lists import RankedLists, Relevant
from headrace.evaluate.ranking import measure
from headrace.recipes.cells import Figures

_AT_ONCE = 512


@dataclass(frozen=True)
class Measuring:
    """measure: of a fitted retriever on a split, metric -> a value a unit, where it is more than ranking metrics a user on the
    test; revision: raised when it gives other figures."""

    metrics: Sequence[str]
    chosen_by: str
    validated: int = 0
    measure: Callable[[Any, Held], Figures] | None = None
    revision: int = 1

    @property
    def key(self) -> dict[str, Any]:
        found: dict[str, Any] = {"metrics": list(self.metrics), "chosen_by": self.chosen_by}
        if self.validated:
            found["validated"] = self.validated
        return found if self.measure is None else {**found, "measure": self.revision}

    def valid(self, retriever: Any, held: Held) -> float:
        requests, answers = held.valid()
        if 0 < self.validated < len(requests):
            rows = np.sort(rng(held.log.seed, "validated").permutation(len(requests))[: self.validated])
            requests, answers = requests.take(rows), answers.take(rows)
        return float(ranked(retriever, (requests, answers), [self.chosen_by])[self.chosen_by].mean())

    def test(self, retriever: Any, held: Held) -> Figures:
        return ranked(retriever, held.test(), self.metrics) if self.measure is None else self.measure(retriever, held)


def ranked(retriever: Any, asked: Any, metrics: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Full catalogue, seen items removed, averaged inside a user."""
    requests, answers = asked
    wanted = max(int(metric.split("@")[1]) for metric in metrics)
    items = np.zeros((len(requests), wanted), np.int32)
    for rows, part in requests.chunks(_AT_ONCE):
        found = retriever.retrieve(part, wanted, Allowed(None, part.history)).items
        items[rows, : found.shape[1]] = found
    relevant = Relevant.from_pairs(answers.rows(), answers.items, len(requests))
    measured = measure(RankedLists(requests.users, items), relevant, metrics)
    return {metric: by_user(requests.users, values[:, None])[1][:, 0] for metric, values in measured.items()}
