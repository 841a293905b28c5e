"""Training batches with what is said of each row's user in words.

Tokens are looked up by user number as a batch is read, so that a user of a thousand rows has their words in memory once, and no
model has to hold what it was taught: a stored ranker has no user's summary in it. A number beyond the log that was read is
nobody's, and has no words, as users who have none.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Batches
from headrace.data.rank_inputs import USERS

SUMMARY = "summary"
"""A field of a batch, [rows, T] int64: a summary's tokens with their end, 0 behind it; all 0 for who has none."""


class SummarisedBatches:
    """base: batches with a field `USERS`. summaries [n_users, T]: by user number, row 0 nobody's. Implements `Batches`."""

    def __init__(self, base: Batches, summaries: Tensor):
        self.base, self.summaries = base, summaries

    def epoch(self, epoch: int) -> Sequence[Batch]:
        return _Summarised(self, self.base.epoch(epoch))


class _Summarised(Sequence[Batch]):
    def __init__(self, source: SummarisedBatches, batches: Sequence[Batch]):
        self.source, self.batches = source, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        batch, table = self.batches[index], self.source.summaries
        users = batch[USERS].masked_fill(batch[USERS] >= len(table), 0)
        return {**batch, SUMMARY: torch.where((users > 0).unsqueeze(1), table[users], 0).long()}
