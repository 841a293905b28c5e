"""What a model that is steered by preferences learns from: every event with the preference that fits it best, and what is made
up beside it so that it follows a preference its history speaks against.

    batch: items [B, T], 0 behind a history's end; item, sign [B], -1: it is not to come; preference [B, W, dim + 1]

Beside the events (axis 1 of `preference_axes`, an oracle in training too) stand, where asked for, fine and coarse steering and
pairs of opposites: a disliked item with what is to be avoided (sign -1) and with its inverse. A share of the events is learned
without a preference, drawn anew each epoch, so that the model answers those who state none. Of preferences, only what was known
when the last event of training came is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.contracts.batch import Batch
from headrace.contracts.requests import Bool, Float32, History, Int64
from headrace.contracts.rng import rng
from headrace.data.histories import HistoryStore
from headrace.data.preference_axes import Samples, Targets, Wishes, oracle, sentiment, steering
from headrace.data.prefixes import only_readable
from headrace.data.sequences import batched_by_length


@dataclass(frozen=True)
class Beside:
    """What is learned beside the events."""

    fine: bool = False
    coarse: bool = False
    opposites: bool = False


@dataclass(frozen=True, eq=False)
class Examples:
    """sign [S]: -1 where the item is not to come."""

    samples: Samples
    sign: NDArray[np.int8]


def targets_of(history: History, readable: Bool, length: int) -> Targets:
    """Every event of an item [n_items] that can be read, with the newest such items before its moment."""
    kept = only_readable(history, readable)
    users = kept.rows().astype(np.int32)
    return Targets(users, kept.at_us, kept.items, HistoryStore(kept).as_of(users, kept.at_us, length))


def examples_of(targets: Targets, wishes: Wishes, items: Float32, beside: Beside, *, seed: int) -> Examples:
    """targets: of training. items [n_items, dim]. An event with neither a history nor a preference is left out."""
    chosen = oracle(targets, wishes.preferences, wishes.pool, items)
    kept = np.flatnonzero((chosen[:, 0] >= 0) | (targets.history.lengths > 0))
    parts = [Samples(targets.users[kept], chosen[kept], targets.history.take(kept), targets.items[kept])]
    said = wishes.preferences.as_of(targets.users, targets.at_us)
    among = np.zeros(len(wishes.pool.texts), np.bool_)
    among[said[said >= 0]] = True
    for coarse, asked in ((False, beside.fine), (True, beside.coarse)):
        if asked:
            parts.append(steering(targets, wishes.pool, items, coarse=coarse, train=True, seed=seed, among=among))
    refused = 0
    if beside.opposites:
        newest = np.zeros(int(targets.users.max(initial=0)) + 1, np.int64)
        np.maximum.at(newest, targets.users, targets.at_us)
        avoided, wished = sentiment(targets, wishes, items, newest[targets.users])
        parts += [wished, avoided]
        refused = len(avoided)
    samples = _joined(parts)
    return Examples(samples, np.where(np.arange(len(samples)) < len(samples) - refused, 1, -1).astype(np.int8))


class PreferredBatches:
    """slots [P, dim + 1]: the pool's. withheld: share of examples with a history whose preference is not shown. Implements
    `Batches`."""

    def __init__(self, examples: Examples, slots: Float32, *, batch_size: int, withheld: float, seed: int):
        self.examples, self.batch_size, self.withheld, self.seed = examples, batch_size, withheld, seed
        self.slots = np.concatenate([slots, np.zeros_like(slots, shape=(1, slots.shape[1]))])  # place -1: none
        self.lengths = examples.samples.history.lengths
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, epoch: int) -> "Preferred":
        draw = rng(self.seed, "preferred", epoch)
        hidden = (draw.random(len(self.lengths)) < self.withheld) & (self.lengths > 0) & (self.examples.sign > 0)
        return Preferred(self, hidden, batched_by_length(self.lengths, self.batch_size, draw))


class Preferred(Sequence[Batch]):
    """One epoch: each batch is gathered when it is asked for."""

    def __init__(self, source: PreferredBatches, hidden: Bool, rows: list[Int64]):
        self.source, self.hidden, self.rows = source, hidden, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        rows, source = self.rows[index], self.source
        samples = source.examples.samples
        past = samples.history.take(rows).last(max(int(source.lengths[rows].max()), 1))
        preference = source.slots[np.where(self.hidden[rows, None], -1, samples.preference[rows])]
        return {
            "items": torch.from_numpy(past.astype(np.int64)),
            "item": torch.from_numpy(samples.items[rows].astype(np.int64)),
            "preference": torch.from_numpy(preference),
            "sign": torch.from_numpy(source.examples.sign[rows].astype(np.int64)),
        }


def _joined(parts: Sequence[Samples]) -> Samples:
    offsets = np.concatenate([[0], *(part.history.lengths for part in parts)]).cumsum()
    items, at_us = (np.concatenate([getattr(part.history, name) for part in parts]) for name in ("items", "at_us"))
    users, preference, wanted = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("users", "preference", "items")
    )
    return Samples(users, preference, History(offsets, items, at_us), wanted)
