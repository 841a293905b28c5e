"""Ids outside, dense numbers inside: append-only, so that children keep their parents' numbers and deletions leave holes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from headrace.contracts.requests import Int32


class Vocabulary:
    """Number 0 is unknown; the id at place i has number i + 1."""

    def __init__(self, ids: pl.Series | Sequence[str]):
        self.ids = pl.Series("id", ids, dtype=pl.String)
        self._numbers = pl.DataFrame({"id": self.ids, "number": np.arange(1, len(self.ids) + 1, dtype=np.int32)})

    def __len__(self) -> int:
        """Numbers in use, the unknown one included."""
        return len(self.ids) + 1

    def extended(self, ids: pl.Series) -> "Vocabulary":
        """With the ids not known yet, in the order given, behind the known ones."""
        new = ids.unique(maintain_order=True).drop_nulls()
        return Vocabulary(pl.concat([self.ids, new.filter(~new.is_in(self.ids.implode())).cast(pl.String).alias("id")]))

    def encode(self, ids: pl.Series | Sequence[str]) -> Int32:
        """Numbers, 0 for an id never seen."""
        wanted = pl.DataFrame({"id": pl.Series(ids, dtype=pl.String)})
        joined = wanted.join(self._numbers, on="id", how="left", maintain_order="left")
        return joined["number"].fill_null(0).to_numpy().astype(np.int32)

    def decode(self, numbers: Int32) -> list[str | None]:
        """Ids, None for 0."""
        known = pl.concat([pl.Series("id", [None], dtype=pl.String), self.ids])
        return known.gather(np.asarray(numbers).ravel()).to_list()

    def save(self, path: Path) -> None:
        pl.DataFrame({"id": self.ids}).write_parquet(path)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        return cls(pl.read_parquet(path)["id"])
