"""Running averages by name, unbiased from the first value on; a name that is missing in a step keeps its average.

a <- decay a + (1 - decay) x,      read as a / (1 - decay^n) after n values
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.balance.oracles import Matrix, Vector

Indices = NDArray[np.intp]


class Average:
    def __init__(self, decay: float):
        self.decay, self.sums, self.counts = decay, dict[str, float](), dict[str, int]()

    def update(self, names: Sequence[str], values: Vector) -> Vector:
        """The averages of these names, with the values taken in."""
        for name, value in zip(names, values.tolist(), strict=True):
            self.sums[name] = self.decay * self.sums.get(name, 0.0) + (1 - self.decay) * value
            self.counts[name] = self.counts.get(name, 0) + 1
        return np.array([self.sums[name] / (1 - self.decay ** self.counts[name]) for name in names])

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self.sums), "counts": dict(self.counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])


@cache
def _pairs(names: tuple[str, ...]) -> tuple[Indices, Indices, list[str]]:
    """The same names step after step, and m (m + 1) / 2 pairs of them: a third of a step's work on averages."""
    rows, columns = np.triu_indices(len(names))
    ends = [sorted((names[int(i)], names[int(j)])) for i, j in zip(rows, columns, strict=True)]
    return rows, columns, [f"{one} x {other}" for one, other in ends]


def update_matrix(average: Average, names: Sequence[str], matrix: Matrix) -> Matrix:
    """The same for a symmetric matrix, kept by pairs of names."""
    rows, columns, pairs = _pairs(tuple(names))
    found = np.empty_like(matrix)
    found[rows, columns] = found[columns, rows] = average.update(pairs, matrix[rows, columns])
    return found
