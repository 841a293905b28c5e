"""What a larger model, trained on other logs, knows of this log's users and items: vectors as of a moment, and their schema.

    found.users_at(users, at_us)        float32 [R, user_width]: the last state strictly before each moment, 0 where none
    found.items_at(at_us)               float32 [n_items, item_width]

A state is the upstream's own representation of the user (UR) at a request, and the sum so far of cross representations (CR) of
what they were shown, decayed and standardised; of an item IR and its own sum. States are kept for every request in time order, so
a row that is learned from never sees what came of it. They are frozen: a newer upstream is another artifact.
Memory: requests x user_width + impressions x item_width floats. Paper: LFM4Ads (arXiv 2508.14948), section 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float32, Int32, Int64
from headrace.data.histories import bisect

USER = "foundation.user"
"""The request feature, float32 [R, user_width]."""


@dataclass(frozen=True)
class States:
    """Rows of entity e stand at [offsets[e], offsets[e + 1]), oldest first; each holds from just after its moment."""

    offsets: Int64
    at_us: Int64
    values: Float32

    def at(self, entities: Int32, at_us: Int64) -> Float32:
        """[n, width]: the last strictly before each moment, 0 where there is none. Entities out of range have none."""
        known = np.where((entities >= 0) & (entities < len(self.offsets) - 1), entities, 0)
        start = self.offsets[known]
        place = bisect(self.at_us, start, self.offsets[known + 1], at_us) - 1
        found = np.zeros((len(known), self.values.shape[1]), np.float32)
        there = place >= start
        found[there] = self.values[place[there]]
        return found


@dataclass(frozen=True)
class Foundation:
    """parts: of a user's and of an item's vector, name -> width, in the order they stand: {"UR": 16, "CR": 48}.

    fields: what the upstream read, name -> (kind, codes). block: the upstream's interaction block, arrays by name; settings: what
    made it. trained_until_us: it was fitted on labels before this moment. made_of: digest of the upstream.
    """

    users: States
    items: States
    user_parts: Mapping[str, int]
    item_parts: Mapping[str, int]
    fields: Mapping[str, tuple[str, int]]
    block: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]
    trained_until_us: int
    made_of: str

    @property
    def user_width(self) -> int:
        return sum(self.user_parts.values())

    @property
    def item_width(self) -> int:
        return sum(self.item_parts.values())

    def users_at(self, users: Int32, at_us: Int64) -> Float32:
        return self.users.at(users, at_us)

    def items_at(self, at_us: int) -> Float32:
        entities = np.arange(len(self.items.offsets) - 1, dtype=np.int32)
        return self.items.at(entities, np.full(len(entities), at_us))


def refuse_other_fields(
    where: str, found: Mapping[str, tuple[str, int]], wanted: Mapping[str, tuple[str, int]],
    do: str = "Take the upstream that this was trained with.",
) -> None:  # fmt: skip
    """DataError that names every field of both that differs. where: what was found, a file or a part. do: what mends it."""
    differing: list[str] = [
        f"{name} is {_said(found[name])}, expected {_said(wanted[name])}"
        for name in sorted(found.keys() & wanted.keys())
        if tuple(found[name]) != tuple(wanted[name])
    ]
    differing += [f"{name} ({_said(found[name])}) is not expected" for name in sorted(found.keys() - wanted.keys())]
    differing += [f"{name} ({_said(wanted[name])}) is missing" for name in sorted(wanted.keys() - found.keys())]
    if differing:
        raise DataError(f"{where}: another feature schema. {_joined(differing)}. {do}")


def _said(field: Sequence[Any]) -> str:
    kind, size = field
    return f"{kind} of {size:,}"


def _joined(parts: Sequence[str]) -> str:
    most = 8
    more = f"; and {len(parts) - most} more" if len(parts) > most else ""
    return "; ".join(parts[:most]) + more
