"""Training windows over user histories: every item once a target each epoch, with the items before it as context.

A history of n events has n - 1 transitions. They are cut into windows of at most `length` with a phase drawn per user and epoch,
so that a boundary falls elsewhere each time. Events of one step are shuffled each epoch: order inside a step is no signal.
Windows of like length share a batch, so little of a batch is padding.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from headrace.contracts.batch import Batch
from headrace.contracts.requests import History, Int32, Int64
from headrace.contracts.rng import rng

_BATCHES_SORTED_TOGETHER = 32


class WindowBatches:
    """batches of items [B, T] and targets [B, T], 0 behind the end of a window. Implements `Batches`."""

    def __init__(self, history: History, *, length: int, batch_size: int, seed: int):
        self.history, self.length, self.batch_size, self.seed = history, length, batch_size, seed
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, epoch: int) -> "Windows":
        draw = rng(self.seed, "windows", epoch)
        transitions = np.maximum(self.history.lengths - 1, 0)
        phase = np.where(transitions > self.length, draw.integers(0, self.length, len(transitions)), 0)
        windows = np.where(transitions > 0, -(-(transitions + phase) // self.length), 0)
        user = np.repeat(np.arange(len(windows)), windows)
        nth = np.arange(len(user)) - np.repeat(np.cumsum(windows) - windows, windows)
        start = np.maximum(nth * self.length - phase[user], 0)
        stop = np.minimum((nth + 1) * self.length - phase[user], transitions[user])
        order = batched_by_length(stop - start, self.batch_size, draw)
        begin = self.history.offsets[user] + start
        return Windows(self._shuffled(draw), [(begin[rows], (stop - start)[rows]) for rows in order])

    def _shuffled(self, draw: np.random.Generator) -> Int32:
        """Items with each step's events in a drawn order; users and times stay sorted."""
        events = self.history
        return events.items[np.lexsort((draw.random(len(events.items)), events.at_us, events.rows()))]


class Windows(Sequence[Batch]):
    """One epoch: each batch is gathered when it is asked for."""

    def __init__(self, items: Int32, places: list[tuple[Int64, Int64]]):
        self.items, self.places = items, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        begin, lengths = self.places[index]
        inside = np.arange(lengths.max()) < lengths[:, None]
        place = np.where(inside, begin[:, None] + np.arange(lengths.max()), 0)
        items, targets = (np.where(inside, self.items[np.where(inside, place + shift, 0)], 0) for shift in (0, 1))
        return {"items": torch.from_numpy(items.astype(np.int64)), "targets": torch.from_numpy(targets.astype(np.int64))}


def batched_by_length(lengths: Int64, batch_size: int, draw: np.random.Generator) -> list[Int64]:
    """Rows in batches: shuffled, then sorted by length inside groups of batches, then the batches shuffled."""
    rows = draw.permutation(len(lengths))
    group = np.arange(len(rows)) // (batch_size * _BATCHES_SORTED_TOGETHER)
    rows = rows[np.lexsort((lengths[rows], group))]
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return [batches[place] for place in draw.permutation(len(batches))]
