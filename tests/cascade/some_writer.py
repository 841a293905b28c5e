"""A writer that says what follows from the last item alone, and counts what it was asked; no training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Float32, History, Int32
from headrace.data.prefixes import only_readable
from headrace.encode.semantic_ids.ids import SemanticIds, told_apart


def ids_of(n_items: int) -> SemanticIds:
    items = np.arange(n_items)
    codes = np.stack([items % 5, items % 7], 1).astype(np.int32)
    codes[0] = -1
    return told_apart(codes, (5, 7))


def histories(n: int = 30) -> History:
    """An hour between events; the first row and every seventh are empty."""
    draw = np.random.default_rng(0)
    lengths = np.where(np.arange(n) % 7 == 0, 0, draw.integers(1, 6, n))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return History(offsets, draw.integers(1, 20, offsets[-1]).astype(np.int32), (place + 1) * 3_600_000_000)


class LastItem:
    """Anchor m: the last item's codes, each m further on."""

    needs = ("semantic_ids",)
    at_once = 8

    def __init__(self, n_items: int = 20, name: str = "one", cut_us: int = 1):
        self.ids, self.fingerprint, self.cut_us = ids_of(n_items), name * 16, cut_us
        self.asked: list[int] = []
        """Rows of each call."""

    def readable(self, history: History) -> History:
        return only_readable(history, self.ids.there).newest(3)

    def write(self, history: History, n: int) -> tuple[Int32, Float32]:
        self.asked.append(len(history))
        last = self.readable(history).last(1)[:, 0]
        codes = (self.ids.codes[last][:, None, :2] + np.arange(n)[None, :, None]) % np.array([5, 7])
        log_prob = -(1.0 + np.arange(n)) * np.ones((len(history), 1))
        none = last == 0
        return (
            np.where(none[:, None, None], -1, codes).astype(np.int32),
            np.where(none[:, None], -np.inf, log_prob).astype(np.float32),
        )

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {}
