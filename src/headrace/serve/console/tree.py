"""Items by their semantic ids, as a tree: under each code the codes that follow it, and the items whose ids begin so.

    183 → 183-70 → 183-70-232 → the items        the last level tells apart items whose other codes are equal

Cost of a look: one pass over all items' codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Int64
from headrace.encode.semantic_ids.ids import SemanticIds

Codes = tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """One code more. items: numbers of those under it."""

    codes: Codes
    items: Int64

    @property
    def said(self) -> str:
        return "-".join(map(str, self.codes))


def read(asked: str, ids: SemanticIds) -> Codes | None:
    """ "183-70" -> (183, 70), "" -> (); None of what is no code of these."""
    if not asked.strip():
        return ()
    parts = asked.strip().split("-")
    if len(parts) > ids.levels or not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        return None
    codes = tuple(int(part) for part in parts)
    return codes if all(code < size for code, size in zip(codes, ids.sizes, strict=False)) else None


def under(ids: SemanticIds, codes: Codes) -> Int64:
    """Numbers of the items whose ids begin so, in the order of their ids."""
    fits = ids.there & (ids.codes[:, : len(codes)] == np.array(codes, np.int32)).all(1)
    found = np.flatnonzero(fits)
    return found[np.lexsort(ids.codes[found].T[::-1])]


def branches(ids: SemanticIds, codes: Codes, items: Int64) -> list[Branch]:
    """Those with most items first. items: what is under the codes. Empty at the last level."""
    if len(codes) >= ids.levels:
        return []
    following = ids.codes[items, len(codes)]
    found = [Branch((*codes, int(code)), items[following == code]) for code in np.unique(following)]
    return sorted(found, key=lambda one: -len(one.items))


def used(ids: SemanticIds) -> list[tuple[int, int]]:
    """(codes in use, codes there are) of each level."""
    of_items = ids.codes[ids.there]
    return [(len(np.unique(of_items[:, level])), size) for level, size in enumerate(ids.sizes)]


def way(codes: Codes) -> Sequence[tuple[str, str]]:
    """(code, the id up to it), from the first."""
    return [(str(code), "-".join(map(str, codes[: at + 1]))) for at, code in enumerate(codes)]
