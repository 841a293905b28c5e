"""Which event ids a build has already read: a sorted array of 64-bit hashes beside the state, memory-mapped.

An event sent again after the build that read it must not count twice. Two ids that share a hash would be taken for one: among
10⁸ known ids, a new one is mistaken with chance 5e-12. Cost O(log ids) a look-up; 8 bytes an id.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.artifacts.atomic import replacing
from headrace.contracts.requests import Bool
from headrace.contracts.rng import stable_hash
from headrace.data.event_parts import part_paths


class KnownEvents:
    def __init__(self, hashes: NDArray[np.uint64]):
        self.hashes = hashes

    @classmethod
    def of(cls, tables: Path, path: Path) -> "KnownEvents":
        """Read from the tables once, into the path; found there from then on."""
        if not path.is_file():
            with replacing(path) as beside, beside.open("wb") as file:
                np.save(file, _hashes(tables))
        return cls.at(path)

    @classmethod
    def at(cls, path: Path) -> "KnownEvents":
        return cls(np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray))  # as a memmap each step takes 10 µs

    def holds(self, event_ids: Sequence[str]) -> Bool:
        return self.among(stable_hash(list(event_ids))) if event_ids else np.zeros(0, np.bool_)

    def among(self, asked: NDArray[np.uint64]) -> Bool:
        """Which of the hashes of ids are known."""
        if not len(self.hashes):
            return np.zeros(len(asked), np.bool_)
        place = np.minimum(np.searchsorted(self.hashes, asked), len(self.hashes) - 1)
        found: Bool = self.hashes[place] == asked
        return found


def _hashes(tables: Path) -> NDArray[Any]:
    parts = [stable_hash(pl.read_parquet(part, columns=["event_id"])["event_id"].to_list()) for part in part_paths(tables)]
    return np.sort(np.concatenate(parts))
