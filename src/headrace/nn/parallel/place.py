"""Where a process stands among those that hold one model, and how the model's tensors are cut between them.

A module that can be cut implements `Divides`. Its tensors keep the names they have in one process: a stage lacks those that lie
elsewhere, a tensor rank holds a piece of each one named in `Cut.pieces` and the whole of every other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """tensor: this process's number among `tensors`, which share layers; stage: its number among `stages`, in the model's order.

    group: the process group of the tensor ranks, None where there is one.
    """

    tensor: int = 0
    tensors: int = 1
    stage: int = 0
    stages: int = 1
    group: Any = None

    @property
    def first(self) -> bool:
        return self.stage == 0

    @property
    def last(self) -> bool:
        return self.stage == self.stages - 1

    def own(self, size: int) -> slice:
        """This rank's part of so many, as even as can be."""
        return part_of(size, self.tensor, self.tensors)


def part_of(size: int, number: int, of: int) -> slice:
    return slice(size * number // of, size * (number + 1) // of)


@dataclass(frozen=True)
class Piece:
    """Along `dim` lie sections of these sizes (queries, keys, values); each is shared out by itself, so that heads stay whole."""

    dim: int
    sections: tuple[int, ...]

    def of(self, whole: Tensor, rank: int, ranks: int) -> Tensor:
        """A rank's own."""
        parts = []
        for start, stop in pairwise(accumulate(self.sections, initial=0)):
            mine = part_of(stop - start, rank, ranks)
            parts.append(whole.narrow(self.dim, start + mine.start, mine.stop - mine.start))
        return torch.cat(parts, self.dim)

    def size(self, rank: int, ranks: int) -> list[int]:
        """Of a rank's sections."""
        mine = [part_of(size, rank, ranks) for size in self.sections]
        return [one.stop - one.start for one in mine]

    def whole(self, pieces: Sequence[Tensor]) -> Tensor:
        """Of every rank's, in their order."""
        parts = [torch.split(piece, self.size(rank, len(pieces)), self.dim) for rank, piece in enumerate(pieces)]
        return torch.cat([part for section in zip(*parts, strict=True) for part in section], self.dim)


@dataclass(frozen=True)
class Cut:
    """pieces: state name -> how tensor ranks hold it. shared: state name -> the stages that each hold the whole of one tensor."""

    pieces: Mapping[str, Piece] = field(default_factory=dict)
    shared: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def under(self, prefix: str) -> "Cut":
        """The same, of a module that holds this one under a name."""
        return Cut(
            {f"{prefix}.{name}": piece for name, piece in self.pieces.items()},
            {f"{prefix}.{name}": stages for name, stages in self.shared.items()},
        )


@runtime_checkable
class Divides(Protocol):
    """A module that can be cut, in place, into what one process holds. ConfigError where its settings don't allow it.

    A stage is called as the whole module is, after `receive` has given it what the stage before handed on, [rows, ..]; `states`
    are what it hands on itself, of the inputs an objective with `inputs(batch)` makes. An objective is called with the last one.
    """

    def cut(self, place: Place) -> Cut: ...
    def receive(self, states: Tensor) -> None: ...
    def states(self, inputs: Any) -> Tensor: ...
    def shape_of_states(self, inputs: Any) -> tuple[int, ...]: ...
