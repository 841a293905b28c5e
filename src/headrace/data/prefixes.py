"""Every event as one example with the newest items before its step: for models that read a history and foresee one item.

A history of n events is n - 1 pairs (history, next item): a model that looks both ways over what it reads can't share one pass
between them, as `sequences` does. Events of one step have one history, and stand in it in an order drawn each epoch. Histories of
like length share a batch, so little of a batch is padding.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from headrace.contracts.batch import Batch
from headrace.contracts.requests import Bool, History, Int32, Int64
from headrace.contracts.rng import rng
from headrace.data.sequences import batched_by_length


class PrefixBatches:
    """batches of items [B, T], 0 behind a history's end, item [B] and event [B], the target's place in `history`.

    readable [n_items]: only these items are read and foreseen, as if there had been no others. Implements `Batches`.
    """

    def __init__(self, history: History, readable: Bool, *, length: int, batch_size: int, seed: int):
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.kept = np.flatnonzero(_can_be_read(history, readable))
        history = only_readable(history, readable)
        self.items, self.at_us, self.rows = history.items, history.at_us, history.rows()
        start = np.searchsorted(self.rows, self.rows)  # where its user begins
        begins = np.ones(len(self.rows), np.bool_)
        begins[1:] = (np.diff(self.rows) != 0) | (np.diff(self.at_us) != 0)
        self.stop: Int64 = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))
        self.lengths = np.minimum(self.stop - start, length)
        self.examples = np.flatnonzero(self.lengths > 0)
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, epoch: int) -> "Prefixes":
        draw = rng(self.seed, "prefixes", epoch)
        order = np.lexsort((draw.random(len(self.items)), self.at_us, self.rows))
        batches = batched_by_length(self.lengths[self.examples], self.batch_size, draw)
        return Prefixes(self, order, [self.examples[rows] for rows in batches])


def only_readable(history: History, readable: Bool) -> History:
    """The same histories, of these items [n_items] alone: what a model is asked with is cut as what it learned from was."""
    kept = _can_be_read(history, readable)
    counts = np.bincount(history.rows()[kept], minlength=len(history))
    return History(np.concatenate([[0], np.cumsum(counts)]), history.items[kept], history.at_us[kept])


def _can_be_read(history: History, readable: Bool) -> Bool:
    """[events]. An item beyond the catalogue that the model knew can't be."""
    known = history.items < len(readable)
    found: Bool = known & readable[np.where(known, history.items, 0)]
    return found


class Prefixes(Sequence[Batch]):
    """One epoch: each batch is gathered when it is asked for."""

    def __init__(self, source: PrefixBatches, order: Int64, places: list[Int64]):
        self.source, self.order, self.places = source, order, places
        self.items: Int32 = source.items[order]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        places, source = self.places[index], self.source
        lengths, stop = source.lengths[places], source.stop[places]
        column = np.arange(lengths.max())
        inside = column < lengths[:, None]
        past = np.where(inside, self.items[np.where(inside, (stop - lengths)[:, None] + column, 0)], 0)
        event = source.kept[self.order[places]]
        found = {"items": past, "item": self.items[places], "event": event}
        return {name: torch.from_numpy(values.astype(np.int64)) for name, values in found.items()}
