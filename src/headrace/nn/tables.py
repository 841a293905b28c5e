"""Embedding tables of fewer rows than there are ids: hashed, capped by how often an id was seen, and one for many fields.

    hashed   e(i) = sum over k of W[1 + h_k(i) mod m],   h_k(i) = ((a i + b) i + c) i + d mod (2^31 - 1),   k = 1 or 2, m rows
    capped   e(i) = W[place(i)] where i was seen `least` times, else T[1 + h(i) mod tail]
    fields   e(f, c) = W[first_f + c],   one look-up for all fields of a row

h is a fixed polynomial of 64-bit products, so an id falls on the same row on every machine and in an exported graph, which has
no unsigned shifts to mix bits with; of any four ids the rows are as independent as draws. Of n ids in m rows the share that has
its row with another in common is 1 - (1 - 1/m)^(n-1), about 1 - exp(-n / m): 63% at n = m, 10% at n = m / 10. With two hashes an
id is a pair of rows, and two ids are alike where both are the same, or crossed: 2 / m² of the pairs. What they share of one row
the other tells apart, at twice the look-ups.

Shapes: ids [..] -> [.., dim], id 0 always zeros; fields' codes [.., F] -> [.., F, dim]. Cost: O(dim) a look-up, and ten integer
operations a hash. Memory: rows · dim, however many ids. With sparse = True a gradient has the rows that were looked at, and
`optim.rowwise` moves those alone.
Use `hashed` where ids come without end, `least` where most are seen too seldom to learn anything of their own: a rare id then
speaks for all rare ones, and an id that came after training is one of them. A hash alone gives a new id some other ids' row. With
ids that stay and a table that fits in memory, a row an id is better than either.
Papers: Weinberger et al., ICML 2009 (the hashing trick). The sum of two rows is our reading of hash embeddings, without weights.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.rng import seed_of

_PRIME = 2**31 - 1
_TAIL = 1
"""The salt of rare ids, so that they don't fall as the others do."""


@config
class TableConfig:
    """Of items. hashed: rows, 0 for a row an item. least: events an item was seen in, below which it shares rows; 0 for none.

    tail: rows that those share, and items that came after training. sparse: gradients have the rows of a batch alone, which
    takes train.optimizer = "rowwise".
    """

    hashed: Annotated[int, Ge(0)] = 0
    hashes: Literal[1, 2] = 1
    least: Annotated[int, Ge(0)] = 0
    tail: Annotated[int, Gt(0)] = 1
    sparse: bool = False

    def __post_init__(self) -> None:
        if self.hashes > 1 and not self.hashed:
            raise ConfigError(f"table: hashes = {self.hashes} are of a hashed table, and hashed is 0. Set hashed to its rows.")
        if self.tail > 1 and not self.least:
            raise ConfigError(f"table: tail = {self.tail} rows are for rare items, and least is 0. Set least, to 3 say.")


class HashedEmbedding(nn.Embedding):
    """rows: beside that of id 0, which stays zero. Its weight is [rows + 1, dim]. ids: below 2^31."""

    def __init__(self, rows: int, dim: int, *, hashes: int = 1, salt: int = 0, sparse: bool = False):
        super().__init__(rows + 1, dim, padding_idx=0, sparse=sparse)
        self.polynomials = [coefficients(salt, number) for number in range(hashes)]

    def rows(self, ids: Tensor) -> list[Tensor]:
        """Of each hash, 1 and more; 0 for id 0."""
        most = self.num_embeddings - 1
        return [(1 + hashed(ids, one).remainder(most)).masked_fill(ids == 0, 0) for one in self.polynomials]

    def forward(self, ids: Tensor) -> Tensor:
        found, *others = (super(HashedEmbedding, self).forward(rows) for rows in self.rows(ids))
        for other in others:
            found = found + other
        return found


class CappedEmbedding(nn.Module):
    """ids: how many are known. kept: of them, those that were seen often enough; `hold` says which."""

    place: Tensor

    def __init__(self, ids: int, kept: int, dim: int, table: TableConfig):
        super().__init__()
        self.embedding_dim, self.hashed = dim, bool(table.hashed)
        self.own: nn.Embedding = (
            HashedEmbedding(table.hashed, dim, hashes=table.hashes, sparse=table.sparse)
            if table.hashed
            else nn.Embedding(kept + 1, dim, padding_idx=0, sparse=table.sparse)
        )
        self.tail = HashedEmbedding(table.tail, dim, salt=_TAIL, sparse=table.sparse)
        self.register_buffer("place", torch.zeros(ids, dtype=torch.int32))

    def hold(self, often: Tensor) -> None:
        """often [ids]: which are known by themselves. Id 0 is none."""
        numbers = torch.arange(len(often)) if self.hashed else often.cumsum(0)
        self.place.copy_(numbers * often)

    def forward(self, ids: Tensor) -> Tensor:
        place = self.place[ids.masked_fill(ids >= len(self.place), 0)]
        found: Tensor = self.own(place) + self.tail(ids.masked_fill(place > 0, 0))
        return found


class FieldTable(nn.Module):
    """Codes of several fields [.., F], each below its field's size, in one weight: [.., F, dim] by one look-up.

    hashed: rows of a table that all of them share, each code of each field an id of its own; 0 for a row each.
    """

    first: Tensor

    def __init__(self, sizes: Sequence[int], dim: int, *, hashed: int = 0, hashes: int = 1, sparse: bool = False):
        super().__init__()
        starts = torch.tensor([0, *accumulate(sizes)][:-1])
        # id 0 of a hashed table is nobody's, and code 0 of a field somebody's
        self.register_buffer("first", starts + 1 if hashed else starts, persistent=False)
        self.table: nn.Embedding = (
            HashedEmbedding(hashed, dim, hashes=hashes, sparse=sparse) if hashed else nn.Embedding(sum(sizes), dim, sparse=sparse)
        )

    def forward(self, codes: Tensor) -> Tensor:
        found: Tensor = self.table(codes + self.first)
        return found


def coefficients(*names: object) -> list[int]:
    """Of the polynomial with these names, the highest first, which is not 0."""
    first, *others = (seed_of(0, "hashed table", *names, place) for place in range(4))
    return [1 + first % (_PRIME - 1), *(one % _PRIME for one in others)]


def hashed(ids: Tensor, polynomial: Sequence[int]) -> Tensor:
    """Of each id below 2^31 a number below 2^31 - 1. No product is beyond 63 bits."""
    ids = ids.long()
    found = torch.full_like(ids, polynomial[0])
    for coefficient in polynomial[1:]:
        found = (found * ids + coefficient).remainder(_PRIME)
    return found


def item_table(n_items: int, kept: int, dim: int, table: TableConfig) -> nn.Embedding | CappedEmbedding:
    """kept: items that were seen `least` times, where there is such a bound."""
    if table.least:
        return CappedEmbedding(n_items, kept, dim, table)
    if table.hashed:
        return HashedEmbedding(table.hashed, dim, hashes=table.hashes, sparse=table.sparse)
    return nn.Embedding(n_items, dim, padding_idx=0, sparse=table.sparse)
