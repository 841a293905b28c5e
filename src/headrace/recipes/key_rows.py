"""Rows in which a few keys are seen once and asked for later: what of a row's past attention still reaches.

    key_rows(64, 1024, rng(0, "test"), back=700)      ids, targets [64, 1024]: every key asked for once, 700 tokens behind it

One key a slot stands in a row's first quarter, one of 8 values at a place that is drawn; all else is noise. Later a token asks
for a slot, and its target is the key itself, among 32: to answer is to copy. Only what asks has a target.
`Growing` is the same in short rows first: a body that begins with long ones needs far longer to find what it is to look for.
Cost O(rows · length).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from headrace.contracts.batch import Batch
from headrace.contracts.rng import rng
from headrace.data.token_rows import NOTHING

SLOTS, VALUES, NOISE = 4, 8, 8
"""Ids below SLOTS·VALUES are keys, the next SLOTS ask, the next NOISE are noise."""


def key_rows(n: int, length: int, draw: np.random.Generator, *, back: int = 0) -> Batch:
    """back: each slot is asked for once, so far behind its key; 0: an eighth of the row asks, anywhere behind that quarter."""
    quarter, slots = length // 4, np.arange(SLOTS)
    ids = SLOTS * VALUES + SLOTS + draw.integers(0, NOISE, (n, length))
    at = _places(draw, n, quarter)[:, :SLOTS]
    keys = slots * VALUES + draw.integers(0, VALUES, (n, SLOTS))
    np.put_along_axis(ids, at, keys, 1)
    where, slot = at + back, np.tile(slots, (n, 1))
    if not back:
        where = quarter + _places(draw, n, length - quarter)[:, : length // 8]
        slot = draw.integers(0, SLOTS, where.shape)
    np.put_along_axis(ids, where, SLOTS * VALUES + slot, 1)
    targets = np.full_like(ids, NOTHING)
    np.put_along_axis(targets, where, np.take_along_axis(keys, slot, 1), 1)
    return {"ids": torch.from_numpy(ids), "targets": torch.from_numpy(targets)}


class Growing(Sequence[Batch]):
    """Steps of rows · length tokens, a quarter each in rows of length/8, then /4, /2 and the whole. Implements `Batches`."""

    def __init__(self, tokens: int, *, rows: int, length: int, seed: int):
        self.seed, self.a_step = seed, rows * length
        self.steps = tokens // self.a_step
        self.lengths = [length >> halved for halved in (3, 2, 1, 0)]

    def epoch(self, epoch: int) -> "Growing":
        return self

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < self.steps:
            raise IndexError(index)
        length = self.lengths[index * len(self.lengths) // self.steps]
        return key_rows(self.a_step // length, length, rng(self.seed, "key rows", "train", index))


def _places(draw: np.random.Generator, n: int, size: int) -> Any:
    """[n, size]: all of them, each row in its own order."""
    return draw.permuted(np.tile(np.arange(size), (n, 1)), axis=1)
