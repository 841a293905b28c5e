"""Rows of as many tokens each, cut from documents laid end to end, with what each token is to predict: the next one, or itself
where it was hidden.

    rows = TokenRows(tokens, length=128, batch_size=32, seed=0)              ids, targets [B, T]: targets are ids one on
    hidden = HiddenTokens(rows, share=0.15, mask=4, least=10, size=2000)     ids with some hidden; targets there alone, else -1

Every epoch cuts at another phase and shuffles the rows, both drawn from (seed, epoch), so a batch is a function of its address. A
row may hold the end of one document and the start of another; `apart` adds documents [B, T], for a mask that keeps them apart.
Of the hidden tokens 80% become the mask, 10% a random one and 10% stay (BERT, Devlin et al., NAACL 2019, section 3.1).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from headrace.contracts.batch import Batch
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Int64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Batches
from headrace.data.tokens import Tokens

NOTHING = -1
"""The target of a position that predicts nothing."""


class TokenRows:
    """The last, smaller batch is left out, so that all steps weigh alike. Implements `Batches`."""

    def __init__(self, tokens: Tokens, *, length: int, batch_size: int, seed: int, apart: bool = False):
        if len(tokens.ids) <= 2 * length:
            raise DataError(f"{len(tokens.ids)} tokens give no two rows of {length}: take shorter rows or more text.")
        self.tokens, self.length, self.batch_size, self.seed, self.apart = tokens, length, batch_size, seed, apart
        self.epoch = lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, epoch: int) -> Sequence[Batch]:
        draw = rng(self.seed, "token rows", epoch)
        phase = int(draw.integers(self.length))
        begins = np.arange(phase, len(self.tokens.ids) - self.length, self.length)
        full = max(len(begins) // self.batch_size, 1) * self.batch_size
        return Rows(self.tokens, draw.permutation(begins)[:full], self.length, self.batch_size, apart=self.apart)


class Rows(Sequence[Batch]):
    """Batches of the rows that begin at `begins`, gathered when they are asked for."""

    def __init__(self, tokens: Tokens, begins: Int64, length: int, batch_size: int, *, apart: bool = False):
        self.tokens, self.begins, self.length, self.batch_size, self.apart = tokens, begins, length, batch_size, apart

    def __len__(self) -> int:
        return -(-len(self.begins) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        begins = self.begins[index * self.batch_size : (index + 1) * self.batch_size]
        place = begins[:, None] + np.arange(self.length + 1)
        ids = torch.from_numpy(self.tokens.ids[place].astype(np.int64))
        batch = {"ids": ids[:, :-1], "targets": ids[:, 1:]}
        if self.apart:
            batch["documents"] = torch.from_numpy(np.searchsorted(self.tokens.offsets, place[:, :-1], side="right") - 1)
        return batch


class HiddenTokens:
    """The same rows as a task of filling in. share: of the tokens that are hidden. least, size: ids from `least` up to `size` are
    words, which may be hidden and drawn; below stand the special ones. Implements `Batches`."""

    def __init__(self, rows: Batches, *, share: float, mask: int, least: int, size: int, seed: int):
        self.rows, self.share, self.mask, self.least, self.size, self.seed = rows, share, mask, least, size, seed

    def epoch(self, epoch: int) -> Sequence[Batch]:
        return _Hidden(self, self.rows.epoch(epoch), epoch)

    def hide(self, batch: Batch, *names: object) -> Batch:
        """One batch, its draws from the stream (seed, names)."""
        ids = batch["ids"].numpy()
        draw = rng(self.seed, "hidden tokens", *names)
        hidden = (draw.random(ids.shape) < self.share) & (ids >= self.least)
        way, words = draw.random(ids.shape), draw.integers(self.least, self.size, ids.shape)
        said = np.where(way < 0.8, self.mask, np.where(way < 0.9, words, ids))
        shown, targets = np.where(hidden, said, ids), np.where(hidden, ids, NOTHING)
        return {**batch, "ids": torch.from_numpy(shown), "targets": torch.from_numpy(targets)}


class _Hidden(Sequence[Batch]):
    def __init__(self, of: HiddenTokens, rows: Sequence[Batch], epoch: int):
        self.of, self.rows, self.number = of, rows, epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        return self.of.hide(self.rows[index], self.number, index)
