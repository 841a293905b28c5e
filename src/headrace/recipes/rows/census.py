"""Census-Income (KDD) for recipes: 38 fields and three binary tasks, as multi-task papers use it.

    read = census(rows=20_000, seed=0)      # Tables: codes, labels "income", "never_married", "college"; train, valid, test

| task | positive | rate |
|---|---|---|
| income | earns over 50,000 dollars | 6% |
| never_married | marital status "Never married" | 43% |
| college | a bachelor's degree or a higher one | 14% |

The columns that say a task's label (income, marital_status, education) and the survey's weight are no fields. test: the published
test rows. A seed draws its validation rows, a tenth of the published training rows, and its training rows from the rest; so the
subsample differs by seed, the test rows never. Codes and bins are fitted on the seed's training rows.
"""

from functools import lru_cache
from hashlib import sha256

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.requests import Float32, Int64
from headrace.contracts.rng import rng
from headrace.data import datasets
from headrace.data.datasets.census_income import WHOLE
from headrace.recipes.rows.table import Tables, coded

TASKS = ("income", "never_married", "college")
_HIDDEN = ("income", "marital_status", "education", "instance_weight", "split")
_COLLEGE = ("Bachelors degree", "Masters degree", "Prof school degree", "Doctorate degree")
_FEW = ("persons_worked_for_employer", "year")
"""Whole numbers of few values: each has a code."""


def census(*, rows: int | None = None, seed: int = 0) -> Tables:
    """rows: of training, all that validation leaves if None."""
    columns, labels, blanks, published = _read()
    known = rng(seed, "census").permutation(np.flatnonzero(published))
    valid = len(known) // 10
    train = known[valid:] if rows is None else known[valid : valid + rows]
    return coded(columns, labels, blanks, train=train, valid=known[:valid], test=np.flatnonzero(~published))


def digest_of_census() -> str:
    """sha256 of what is read, so that another copy of the data with the same rows is the same data."""
    columns, labels, blanks, published = _read()
    state = sha256("\n".join([*columns, *labels]).encode())
    for values in (*columns.values(), *labels.values(), blanks, published):
        state.update(np.ascontiguousarray(values).tobytes())
    return state.hexdigest()


@lru_cache(maxsize=1)
def _read() -> tuple[dict[str, NDArray[np.generic]], dict[str, Float32], Int64, NDArray[np.bool_]]:
    """Columns (floats are to be binned), labels, how many fields of a row say nothing, and whether it is of the training part."""
    table = pl.read_parquet(datasets.get("census-income") / "rows.parquet")
    fields = table.drop(_HIDDEN)
    columns: dict[str, NDArray[np.generic]] = {}
    for name in fields.columns:
        values = fields[name]
        if name in WHOLE and name not in _FEW:
            columns[name] = values.cast(pl.Float64).to_numpy()
        else:
            columns[name] = values.rank("dense").cast(pl.Int64).to_numpy()
    labels = {
        "income": table["income"] == "50000+.",
        "never_married": table["marital_status"] == "Never married",
        "college": table["education"].str.contains("|".join(f"^{start}" for start in _COLLEGE)),
    }
    silent = fields.select(
        pl.sum_horizontal((pl.col(pl.String).str.starts_with("Not in universe") | (pl.col(pl.String) == "?")).cast(pl.Int64))
    )
    return (
        columns,
        {task: label.cast(pl.Float32).to_numpy() for task, label in labels.items()},
        silent.to_series().to_numpy(),
        (table["split"] == "train").to_numpy(),
    )
