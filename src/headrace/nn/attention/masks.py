"""Which keys a query may see: rules over positions, joined by `&`; a key is seen when every rule allows it.

    spec = MaskSpec(Causal(), Window(64)) & Documents(ids)

A rule is asked with integer tensors of query and key positions of as many dimensions, [1 | H, .., Tq, 1] and [1 | H, .., 1, Tk],
and answers a bool that broadcasts to [B, H, .., Tq, Tk]: the same few lines serve a whole matrix and gathered blocks. It also
says which pairs of blocks may hold a pair it allows (more than needed is no error); gathering starts from these.
Rules over numbers alone compare and hash by value; those that hold a tensor a row (`by_row`) do not.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from headrace.nn.attention.patterns import BlockPattern


class Rule(Protocol):
    by_row: ClassVar[bool]

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor: ...
    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        """Block numbers q [n, 1], k [1, n] -> [1 | H, n, n]."""
        ...


@dataclass(frozen=True)
class Causal:
    by_row: ClassVar[bool] = False

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        return k <= q

    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        return (k <= q)[None]


@dataclass(frozen=True)
class Window:
    """No key `width` or more away: with Causal, the newest `width` keys."""

    width: int
    by_row: ClassVar[bool] = False

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        return (q - k).abs() < self.width

    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        nearest = ((q - k).abs() * size - (size - 1)).clamp(min=0)
        return (nearest < self.width)[None]


@dataclass(frozen=True)
class Blockwise:
    """LeX's blockwise causal attention, with Causal: a query sees its own block of `size` and the one before it."""

    size: int
    by_row: ClassVar[bool] = False

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        return (q // self.size - k // self.size).abs() <= 1

    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        def reach(block: Tensor) -> tuple[Tensor, Tensor]:
            return block * size // self.size, (block * size + size - 1) // self.size

        (q_first, q_last), (k_first, k_last) = reach(q), reach(k)
        return ((k_first - q_last <= 1) & (q_first - k_last <= 1))[None]


@dataclass(frozen=True)
class BlockSparse:
    """S2-Attention's pattern: each key/value head keeps another shard of the past."""

    pattern: BlockPattern
    by_row: ClassVar[bool] = False

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        return self.pattern.allowed(q // self.pattern.block, k // self.pattern.block, heads)

    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        if size != self.pattern.block:
            raise ValueError(f"Blocks of {size} can't list a pattern of blocks of {self.pattern.block}.")
        return self.pattern.allowed(q[None], k[None], heads)


@dataclass(frozen=True, eq=False)
class Prefix:
    """In place of Causal: a row's first keys are seen by all its queries. lengths [B]."""

    lengths: Tensor
    by_row: ClassVar[bool] = True

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        return (k <= q) | (k < self.lengths.view(-1, *[1] * k.dim()))

    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        return ((k <= q) | (k * size < self.lengths.max()))[None]


@dataclass(frozen=True, eq=False)
class Documents:
    """Rows packed of several documents: no query sees another one's keys. ids [B, T], T the whole length, cached part and all."""

    ids: Tensor
    by_row: ClassVar[bool] = True

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        return _at(self.ids, q) == _at(self.ids, k)

    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        return torch.ones_like(q == k)[None]


@dataclass(frozen=True, eq=False)
class Present:
    """Only keys that are there: padding is seen by nobody. there [B, T] bool, T as for Documents."""

    there: Tensor
    by_row: ClassVar[bool] = True

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor:
        return _at(self.there, k)

    def blocks(self, q: Tensor, k: Tensor, size: int, heads: int) -> Tensor:
        return torch.ones_like(q == k)[None]


@dataclass(frozen=True, init=False)
class MaskSpec:
    """Full attention where no rule stands."""

    rules: tuple[Rule, ...]

    def __init__(self, *rules: Rule):
        object.__setattr__(self, "rules", rules)

    def __and__(self, other: "MaskSpec | Rule") -> "MaskSpec":
        return MaskSpec(*self.rules, *(other.rules if isinstance(other, MaskSpec) else (other,)))

    @property
    def by_row(self) -> bool:
        return any(rule.by_row for rule in self.rules)

    @property
    def fixed(self) -> "MaskSpec":
        """Its rules of numbers alone."""
        return MaskSpec(*(rule for rule in self.rules if not rule.by_row))

    def allowed(self, q: Tensor, k: Tensor, heads: int) -> Tensor | None:
        """None where everything is. Shapes as for a rule."""
        found: Tensor | None = None
        for rule in self.rules:
            one = rule.allowed(q, k, heads)
            found = one if found is None else found & one
        return found

    def dense(self, q: Tensor, k: Tensor, heads: int) -> Tensor | None:
        """Positions [Tq], [Tk] -> bool [1 | B, 1 | H, Tq, Tk], or None where everything is allowed."""
        found = self.allowed(q.view(1, -1, 1), k.view(1, 1, -1), heads)
        return found if found is None or found.dim() == 4 else found[None]

    def blocks(self, n: int, size: int, heads: int) -> Tensor:
        """bool [1 | H, n, n]: which of n blocks of `size` keys each block of queries may need."""
        number = torch.arange(n)
        found = torch.ones(1, n, n, dtype=torch.bool)
        for rule in self.rules:
            found = found & rule.blocks(number[:, None], number[None], size, heads)
        return found


def _at(values: Tensor, places: Tensor) -> Tensor:
    """[B, T] at [1 | H, ..] -> [B, 1 | H, ..]."""
    return values[:, places]
