"""What the codes of a catalogue are, to all who read or write them.

    codes [n_items, levels]     the last level tells apart items whose other codes are equal, and means nothing
    token of code c at level l  1 + sizes[0] + .. + sizes[l - 1] + c          0: padding, and what a decoder begins with

An item without codes (item 0, one without a text) has -1 at every level and token 0. Every other item's codes are its own, so
a whole code is one item.
Papers: TIGER (arXiv 2305.05065), section 3.1, for the level that breaks ties.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Int32, Int64


@dataclass(frozen=True, eq=False)
class SemanticIds:
    """codes int32 [n_items, levels]. sizes: symbols a level. items: sha256 of what the catalogue was when the codes were made."""

    codes: Int32
    sizes: tuple[int, ...]
    items: str = ""

    def __post_init__(self) -> None:
        codes, there = self.codes, self.there
        if codes.ndim != 2 or codes.shape[1] != len(self.sizes):
            raise DataError(f"semantic ids: codes {codes.shape} for {len(self.sizes)} levels; expected [n_items, levels].")
        wrong = np.flatnonzero(there & ((codes < 0) | (codes >= self.sizes)).any(1))
        if len(wrong):
            raise DataError(
                f"semantic ids: item {wrong[0]} has codes {codes[wrong[0]].tolist()}, which is outside of {list(self.sizes)} "
                "symbols a level."
            )
        kept, counts = np.unique(codes[there], axis=0, return_counts=True)
        if (counts > 1).any():
            raise DataError(
                f"semantic ids: {int(counts.max())} items share the codes {kept[counts.argmax()].tolist()}: add a last level "
                "that tells them apart (`told_apart`)."
            )

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def levels(self) -> int:
        return len(self.sizes)

    @cached_property
    def there(self) -> Bool:
        """[n_items]: which items have codes."""
        found: Bool = np.any(self.codes >= 0, axis=1)
        return found

    @property
    def vocabulary(self) -> int:
        """Tokens, 0 among them."""
        return 1 + sum(self.sizes)

    @cached_property
    def starts(self) -> Int64:
        """Each level's first token, [levels]."""
        return 1 + np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)

    @cached_property
    def tokens(self) -> Int64:
        """[n_items, levels]."""
        found: Int64 = np.where(self.there[:, None], self.codes + self.starts, 0)
        return found

    @cached_property
    def fingerprint(self) -> str:
        """Changes with any code: what a model that was trained on these codes remembers of them."""
        return sha256(np.ascontiguousarray(self.codes).tobytes() + repr(self.sizes).encode()).hexdigest()

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        items = np.frombuffer(self.items.encode(), np.uint8)
        return {"codes": self.codes, "sizes": np.array(self.sizes, np.int64), "items": items}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "SemanticIds":
        sizes = tuple(int(size) for size in arrays["sizes"])
        return cls(arrays["codes"].astype(np.int32), sizes, arrays["items"].tobytes().decode())


def told_apart(codes: Int32, sizes: tuple[int, ...], *, at_least: int = 1, items: str = "") -> SemanticIds:
    """Codes [n_items, levels], -1 for none, and one level more: the n-th item of equal codes, by item number, gets n - 1.

    at_least: symbols of the new level; more where more items share their codes. An item's number here is its place in the
    catalogue, so codes that were given stay as they are when items are appended.
    """
    there = (codes >= 0).any(1)
    extra = np.full(len(codes), -1, np.int32)
    _, group = np.unique(codes[there], axis=0, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    ordered = group.reshape(-1)[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    nth = np.arange(len(ordered)) - np.repeat(first, np.diff(np.append(first, len(ordered))))
    found = np.empty(len(ordered), np.int32)
    found[order] = nth
    extra[there] = found
    size = max(int(extra.max(initial=-1)) + 1, at_least)
    return SemanticIds(np.concatenate([codes, extra[:, None]], 1).astype(np.int32), (*sizes, size), items)
