"""Plain tables for recipes: a row is one code a field and a label a task, without users, lists or times.

    read = coded(columns, labels, train=rows, valid=others, test=the_rest)
    read.train.codes                 int64 [n, F], 0: a value that training's rows hardly had
    TableBatches(read.train, 1024, seed=0)

Words and whole numbers of few values have a code each, by how often training's rows have them; numbers of many values are binned
by training's quantiles, their least value, mostly 0, in a bin of its own. All of it is fitted on training's rows alone.
A batch is that of a list with one candidate, so that the objectives of rankers read it as they read a product's:
"codes" [B, F], "items" [B, 1] of ones, "label" and a "label.TASK" each, [B, 1].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.contracts.batch import Batch
from headrace.contracts.requests import Float32, Int64
from headrace.contracts.rng import rng
from headrace.data.rank_inputs import LABEL_OF

_BINS = 24
_RARE = 5
"""Rows a value is in at least to have a code."""


@dataclass(frozen=True, eq=False)
class Table:
    """codes int64 [n, F]; labels: task -> float32 [n], NaN where not known; blanks [n]: fields that say nothing of the row."""

    codes: Int64
    labels: Mapping[str, Float32]
    blanks: Int64

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, eq=False)
class Tables:
    """sizes: codes of each field, 0 among them."""

    fields: Sequence[str]
    sizes: Sequence[int]
    train: Table
    valid: Table
    test: Table


def coded(
    columns: Mapping[str, NDArray[np.generic]], labels: Mapping[str, Float32], blanks: Int64,
    *, train: Int64, valid: Int64, test: Int64,
) -> Tables:  # fmt: skip
    """columns: name -> [n]; integers are values (codes of words, counts), floats are numbers to be binned. O(n F log n)."""
    fitted = [_fitted(values, train) for values in columns.values()]
    codes = np.stack([codes for codes, _ in fitted], 1) if fitted else np.zeros((len(blanks), 0), np.int64)

    def of(rows: Int64) -> Table:
        return Table(codes[rows], {task: label[rows] for task, label in labels.items()}, blanks[rows])

    return Tables(list(columns), [size for _, size in fitted], of(train), of(valid), of(test))


def _fitted(values: NDArray[np.generic], train: Int64) -> tuple[Int64, int]:
    if values.dtype.kind == "f":
        return _binned(values, values[train])
    _, dense = np.unique(values, return_inverse=True)
    rows = np.bincount(dense[train], minlength=int(dense.max()) + 1)
    order = np.argsort(-rows, kind="stable")
    order = order[rows[order] >= _RARE]
    code_of = np.zeros(len(rows), np.int64)
    code_of[order] = np.arange(1, len(order) + 1)
    return code_of[dense], len(order) + 1


def _binned(values: NDArray[np.generic], known: NDArray[np.generic]) -> tuple[Int64, int]:
    least = known.min()
    above = known[known > least]
    inner = np.quantile(above, np.linspace(0, 1, _BINS + 1)[1:-1]) if len(above) else []
    edges = np.unique(np.append(inner, least))
    return np.searchsorted(edges, values).astype(np.int64) + 1, len(edges) + 2


class TableBatches:
    """Each epoch's rows in an order of its own. Implements `Batches`. task: whose label is "label" (the first one's)."""

    def __init__(self, table: Table, batch_size: int, *, seed: int, task: str | None = None):
        self.codes = torch.from_numpy(table.codes)
        named = {name: torch.from_numpy(label).unsqueeze(1) for name, label in table.labels.items()}
        self.labels = {"label": named[task or next(iter(named))], **{LABEL_OF + name: label for name, label in named.items()}}
        self.batch_size, self.seed = batch_size, seed

    def epoch(self, epoch: int) -> Sequence[Batch]:
        order = torch.from_numpy(rng(self.seed, "table", epoch).permutation(len(self.codes)))
        return _Epoch(self, torch.split(order, self.batch_size))

    def at(self, rows: torch.Tensor) -> Batch:
        return {
            "codes": self.codes[rows], "items": torch.ones(len(rows), 1, dtype=torch.int64),
            **{name: label[rows] for name, label in self.labels.items()},
        }  # fmt: skip


class _Epoch(Sequence[Batch]):
    def __init__(self, of: TableBatches, rows: Sequence[torch.Tensor]):
        self.of, self.rows = of, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        return self.of.at(self.rows[index])
