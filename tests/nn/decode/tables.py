"""A decoding whose log-probabilities are given, and all items ranked by it one by one."""

import numpy as np
import torch
from torch import Tensor

from headrace.encode.semantic_ids.ids import SemanticIds, told_apart

LOWEST = -torch.inf


class Tables:
    """tables: for each level [R, sizes[0], .., sizes[level]], the log-probabilities after each prefix."""

    def __init__(self, tables: list[Tensor]):
        self.tables = tables
        self.before = torch.zeros(len(tables[0]), 1, 0, dtype=torch.int64)
        self.widths: list[int] = []

    def first(self) -> Tensor:
        return self.tables[0]

    def next(self, origin: Tensor, codes: Tensor, level: int) -> Tensor:
        rows = torch.arange(len(origin)).unsqueeze(1)
        self.before = torch.cat([self.before[rows, origin], codes.unsqueeze(-1)], -1)
        self.widths.append(origin.shape[1])
        return self.tables[level][(rows, *self.before.unbind(-1))]


def drawn_ids(seed: int, items: int, size: int, levels: int) -> SemanticIds:
    """Items 1 .. items with random codes; a level more tells the same ones apart."""
    codes = np.random.default_rng(seed).integers(0, size, (items + 1, levels)).astype(np.int32)
    codes[0] = -1
    return told_apart(codes, (size,) * levels)


def drawn_tables(seed: int, rows: int, sizes: tuple[int, ...], *, spread: float = 2.0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = [spread * torch.randn(rows, *sizes[: level + 1], generator=draw) for level in range(len(sizes))]
    return [one.log_softmax(-1) for one in logits]


def scores_of(tables: list[Tensor], ids: SemanticIds) -> Tensor:
    """[R, n_items]: what each item would get, -inf for one without codes."""
    rows = len(tables[0])
    found = torch.full((rows, len(ids)), LOWEST)
    for row in range(rows):
        for item in np.flatnonzero(ids.there):
            codes = ids.codes[item].tolist()
            score = torch.zeros(())
            for level in range(ids.levels):
                score = score + tables[level][(row, *codes[: level + 1])]
            found[row, item] = score
    return found
