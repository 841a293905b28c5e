"""Keys and values of tokens that were read, so that the next ones cost one step; and a prefix that many rows have in common.

    cache = Cache(layers, rows=8, extent=200)      one history, then many continuations:
    each = shared.fork(rows=64)                        or of each of 8, eight, side by side

Buffers are made once for `extent` tokens, which also fixes what positions hang on (LongRoPE's factors, xPos's middle): decoding
is the whole pass, step by step. A fork keeps one copy of the prefix; attention to prefix and own tokens is merged by log-sum-exp.
For inference: no gradient goes through. Memory 2·rows·extent·kv_heads·head_dim numbers a layer.
"""

from dataclasses import dataclass

from torch import Tensor

from headrace.contracts.errors import DataError


@dataclass(eq=False)
class Slot:
    """One layer's. keys, values: of its own tokens [B, G, capacity, d]; across: of the encoder's; before: of the prefix."""

    keys: Tensor | None = None
    values: Tensor | None = None
    across: tuple[Tensor, Tensor] | None = None
    before: tuple[Tensor, Tensor] | None = None

    def add(self, keys: Tensor, values: Tensor, filled: int, capacity: int) -> tuple[Tensor, Tensor]:
        """Keys and values [B, G, T, d] behind the first `filled` -> all of them."""
        if self.keys is None or self.values is None:
            shape = (*keys.shape[:2], capacity, keys.shape[3])
            self.keys, self.values = keys.new_zeros(shape), values.new_zeros(shape)
        stop = filled + keys.shape[2]
        self.keys[:, :, filled:stop], self.values[:, :, filled:stop] = keys.detach(), values.detach()
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class Cache:
    """extent: tokens a row may come to have, the prefix among them."""

    def __init__(self, layers: int, *, rows: int, extent: int, prefix: "Cache | None" = None):
        self.rows, self.extent, self.prefix = rows, extent, prefix
        self.shared = prefix.filled if prefix else 0
        self.slots = [Slot() for _ in range(layers)]
        self.filled: int = 0

    @property
    def start(self) -> int:
        """The position of the next token."""
        return self.shared + self.filled

    @property
    def capacity(self) -> int:
        return self.extent - self.shared

    def room_for(self, rows: int, tokens: int) -> None:
        if rows != self.rows:
            raise DataError(f"A cache of {self.rows} rows got {rows}. Make one for them, or fork it.")
        if self.start + tokens > self.extent:
            raise DataError(
                f"A cache for {self.extent} tokens has {self.start} and got {tokens} more. Make it with a larger extent: "
                "positions hang on it, so it can't grow."
            )

    def fork(self, rows: int) -> "Cache":
        """As many rows that go on from this cache's rows, each its own way, those of one side by side. This one must then stay as
        it is."""
        if self.prefix is not None:
            raise DataError(f"A cache of {self.rows} rows can't be forked: take one that is no fork itself.")
        if rows % self.rows:
            raise DataError(f"A cache of {self.rows} rows can't be forked to {rows}: each goes on in as many.")
        forked = Cache(len(self.slots), rows=rows, extent=self.extent, prefix=self)
        for mine, theirs in zip(self.slots, forked.slots, strict=True):
            if mine.keys is None or mine.values is None:
                raise DataError("An empty cache can't be forked: read the prefix first.")
            theirs.before = mine.keys[:, :, : self.filled], mine.values[:, :, : self.filled]
        return forked

    def reorder(self, rows: Tensor, *, across: bool = True) -> None:
        """Row i goes on from what was row rows[i]: a beam that won. Without `across`, the encoder's keys stay as they are, for
        beams that keep to their memory, each memory's side by side. Rows of a fork keep to their prefix in the same way."""
        for slot in self.slots:
            if slot.keys is not None and slot.values is not None:
                slot.keys, slot.values = slot.keys[rows], slot.values[rows]
            if across and slot.across is not None:
                slot.across = (slot.across[0][rows], slot.across[1][rows])
        self.rows = len(rows)
