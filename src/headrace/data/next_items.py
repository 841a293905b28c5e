"""Every event as one example: who asked, with what history, and what was chosen.

An event's history is what stands before its step, so the other items of its step are no context. Requests go through the same
`user_batch` as those that are answered, so training and serving can't drift apart.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.contracts.batch import Batch, Schema
from headrace.contracts.requests import History, Int32, Int64, Requests
from headrace.contracts.rng import rng
from headrace.data.histories import HistoryStore
from headrace.data.rank_inputs import user_batch

UsersAt = Callable[[Int32, Int64], Mapping[str, NDArray[Any]]]


class NextItemBatches:
    """batches of the schema's fields and "item" [B]. users_at: users' features as of moments. Implements `Batches`."""

    def __init__(self, history: History, users_at: UsersAt, schema: Schema, *, batch_size: int, seed: int):
        self.store, self.users_at, self.schema = HistoryStore(history), users_at, schema
        self.users = history.rows().astype(np.int32)
        self.batch_size, self.seed = batch_size, seed

    def epoch(self, epoch: int) -> "NextItems":
        rows = rng(self.seed, "next items", epoch).permutation(np.flatnonzero(self.store.events.items > 0))
        return NextItems(self, [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)])


class NextItems(Sequence[Batch]):
    """One epoch: each batch is gathered when it is asked for."""

    def __init__(self, source: NextItemBatches, rows: list[Int64]):
        self.source, self.rows = source, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        source, rows = self.source, self.rows[index]
        users, at_us = source.users[rows], source.store.events.at_us[rows]
        read = int(source.schema["history"].shape[1]) if "history" in source.schema else 0
        past = source.store.as_of(users, at_us, read)
        requests = Requests(np.full(len(rows), ""), users, at_us, past, source.users_at(users, at_us))
        item = torch.from_numpy(source.store.events.items[rows].astype(np.int64))
        return {**user_batch(requests, source.schema), "item": item}
