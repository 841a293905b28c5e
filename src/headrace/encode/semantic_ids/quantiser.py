"""What turns vectors into codes: fitted once, on the items that were known, then frozen, so that a new item moves nobody's code.

    codes [n, levels] = quantiser.encode(vectors [n, dim]);   quantiser.decode(codes[:, :depth]) [n, dim] ≈ vectors

An item whose vector is all zeros (it has no text, or none of known words) has no codes.
"""

from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Bool, Float32, Int32
from headrace.encode.semantic_ids.ids import SemanticIds, told_apart


@runtime_checkable
class Quantiser(Protocol):
    """`headrace.testing.quantiser` has its suite. dim: of the vectors. sizes: symbols a level, not all of them in use."""

    @property
    def dim(self) -> int: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...

    def encode(self, vectors: Float32) -> Int32: ...
    def decode(self, codes: Int32) -> Float32: ...


def vectors_of(vectors: Float32, dim: int, name: str) -> Float32:
    """As a quantiser may take them."""
    if vectors.ndim != 2 or vectors.shape[1] != dim or not np.isfinite(vectors).all():
        raise DataError(f"{name}: vectors are {vectors.shape}, expected (n, {dim}) and finite, by the encoder it was fitted on.")
    return np.ascontiguousarray(vectors, np.float32)


def rows_to_fit(interactions: Interactions, vectors: Float32, name: str) -> Bool:
    """[n_items]: somebody chose the item before the cut, and it has a vector."""
    rows: Bool = (interactions.item_counts() > 0) & vectors.any(1)
    if not rows.any():
        raise DataError(f"{name}: none of the items that were chosen before the cut has a text. Give items a title or a text.")
    return rows


def coded(quantiser: Quantiser, vectors: Float32, *, items: str = "") -> SemanticIds:
    """The codes of a whole catalogue [n_items, dim], row 0 for no item. items: what the catalogue was (`catalogue`).

    The last level has as many symbols as the one before it, or more where more items say the same.
    """
    none = SemanticIds(np.zeros((0, len(quantiser.sizes) + 1), np.int32), (*quantiser.sizes, quantiser.sizes[-1]))
    return extended(none, quantiser, vectors, items=items)


def extended(ids: SemanticIds, quantiser: Quantiser, vectors: Float32, *, items: str = "") -> SemanticIds:
    """vectors [n_items, dim] of a catalogue that has grown: its items beyond len(ids) get codes, all others keep theirs.

    The last level grows where the new items need more of it: a model that was trained on `ids` has no symbol for those.
    """
    if len(vectors) < len(ids) or ids.sizes[:-1] != quantiser.sizes:
        raise DataError(
            f"semantic ids: {len(ids)} items with {list(ids.sizes)} symbols a level can't be extended to {len(vectors)} items "
            f"with {list(quantiser.sizes)} and a last level: expected as many items or more, and the quantiser of those codes."
        )
    new = vectors[len(ids) :]
    spoken = new.any(1)
    codes = np.full((len(new), len(quantiser.sizes)), -1, np.int32)
    codes[spoken] = quantiser.encode(new[spoken])
    made = told_apart(np.concatenate([ids.codes[:, :-1], codes]), quantiser.sizes, at_least=ids.sizes[-1], items=items)
    kept = made.codes.copy()
    kept[: len(ids)] = ids.codes
    return replace(made, codes=kept)
