"""Examples of unequal length packed several to a row, of which only marked tokens are learned from.

    rows = PackedRows(tokens, learned, length=512, batch_size=8, seed=0)
    rows.epoch(0)[0]     ids, targets, positions, documents, all [B, T]

targets: the next token where it is marked, else -100 (what torch and transformers pass over). positions count from 0 in each
example and documents tells examples apart, so a model that heeds both reads each as if it stood alone.
Packed once, the longest first, each into the fullest row that has room; an epoch shuffles the rows, a draw of (seed, epoch), so a
batch is a function of its address. T is the longest row's length in the batch, at most `length`. The last, smaller batch stays:
all examples are seen in each epoch. An example longer than a row is refused by name: cut from the left it would lose what was
asked, from the right what is learned.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.contracts.batch import Batch
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Int64
from headrace.contracts.rng import rng
from headrace.data.tokens import Tokens

IGNORED = -100
PADDING = -1
"""The document of a place that holds none."""


class PackedRows:
    """learned [n]: per token of `tokens`. Implements `Batches`."""

    def __init__(self, tokens: Tokens, learned: NDArray[np.bool_], *, length: int, batch_size: int, seed: int):
        _refuse_long(tokens, length)
        self.tokens, self.learned, self.batch_size, self.seed = tokens, learned, batch_size, seed
        self.rows = packed(tokens.lengths, length)

    def epoch(self, epoch: int) -> Sequence[Batch]:
        order = rng(self.seed, "packed rows", epoch).permutation(len(self.rows))
        return _Rows(self, order)


class _Rows(Sequence[Batch]):
    def __init__(self, of: PackedRows, order: Int64):
        self.of, self.order = of, order

    def __len__(self) -> int:
        return -(-len(self.order) // self.of.batch_size)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        size = self.of.batch_size
        return _batch(self.of, [self.of.rows[row] for row in self.order[index * size : (index + 1) * size]])


def _batch(of: PackedRows, rows: Sequence[Sequence[int]]) -> Batch:
    tokens, offsets, lengths = of.tokens, of.tokens.offsets, of.tokens.lengths
    shape = len(rows), max(int(lengths[row].sum()) for row in rows)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    targets, documents = np.full(shape, IGNORED), np.full(shape, PADDING)
    for number, row in enumerate(rows):
        at = 0
        for document in row:
            begin, end, n = offsets[document], offsets[document + 1], int(lengths[document])
            place = (number, slice(at, at + n))
            ids[place], positions[place], documents[place] = tokens.ids[begin:end], np.arange(n), document
            following = np.where(of.learned[begin + 1 : end], tokens.ids[begin + 1 : end], IGNORED)
            targets[number, at : at + n - 1] = following
            at += n
    named = {"ids": ids, "targets": targets, "positions": positions, "documents": documents}
    return {name: torch.from_numpy(values) for name, values in named.items()}


def packed(lengths: Int64, length: int) -> list[list[int]]:
    """Which documents share a row. O(D log D + D length) at worst."""
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(length + 1)]
    for document in np.argsort(-lengths, kind="stable").tolist():
        need = int(lengths[document])
        room = next((room for room in range(need, length + 1) if with_room[room]), None)
        if room is None:
            rows.append([])
            room, row = length, len(rows) - 1
        else:
            row = with_room[room].pop()
        rows[row].append(document)
        with_room[room - need].append(row)
    return rows


def _refuse_long(tokens: Tokens, length: int) -> None:
    long = np.flatnonzero(tokens.lengths > length)
    if len(long):
        raise DataError(
            f"{len(long):,} of {len(tokens):,} examples are longer than a row of {length:,} tokens; the first is number "
            f"{long[0]} with {tokens.lengths[long[0]]:,}, the longest has {tokens.lengths.max():,}. "
            "Raise length, or leave them out."
        )
