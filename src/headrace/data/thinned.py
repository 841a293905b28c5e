"""Training windows in which popular items stand less often: each event is kept by a draw, afresh each epoch.

    P(keep an event of item i) = min(1, sqrt(t / freq(i))),      freq(i) = its share of all events;   t = 0: all are kept

An event that is left out is neither read nor foreseen that epoch: what stood around it are neighbours then.
Paper: Mikolov et al., NeurIPS 2013, section 2.3, where words are thinned so.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from headrace.contracts.batch import Batch
from headrace.contracts.requests import Float64, History
from headrace.contracts.rng import rng
from headrace.data.sequences import WindowBatches


def keep_probability(history: History, t: float) -> Float64:
    """[events]."""
    counts = np.bincount(history.items)
    share = counts[history.items] / max(len(history.items), 1)
    found: Float64 = np.minimum(1.0, np.sqrt(t / share)) if t else np.ones(len(share))
    return found


class ThinnedWindows:
    """What `WindowBatches` makes of the events that are kept. Implements `Batches`."""

    def __init__(self, history: History, t: float, *, length: int, batch_size: int, seed: int):
        self.history, self.keep = history, keep_probability(history, t)
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, epoch: int) -> Sequence[Batch]:
        kept, history = rng(self.seed, "thinned", epoch).random(len(self.keep)) < self.keep, self.history
        counts = np.bincount(history.rows()[kept], minlength=len(history))
        thinned = History(np.concatenate([[0], np.cumsum(counts)]), history.items[kept], history.at_us[kept])
        return WindowBatches(thinned, length=self.length, batch_size=self.batch_size, seed=self.seed).epoch(epoch)
