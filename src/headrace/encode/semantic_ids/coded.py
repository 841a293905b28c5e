"""What a retriever that writes codes keeps of its catalogue: every item's codes, and which items it may propose.

    coded.past(requests.history, length)     what of a history can be read
    coded.tree(allowed.items)                the tree that a search goes through

The codes are stored with the model, and the fingerprint of those it was trained on: its weights mean nothing on others. A tree is
made anew where other items are allowed than the last time, in O(n log n).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.contracts.errors import ArtifactError, DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Bool, History
from headrace.data.prefixes import only_readable
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.trie import Trie

_PREFIX = "coded."


class Coded:
    """proposed [n_items]: has codes, was trained on and was available then."""

    def __init__(self, ids: SemanticIds, proposed: Bool):
        self.ids, self.proposed = ids, proposed
        self._tree: tuple[Bool | None, Trie] | None = None

    @classmethod
    def of(cls, interactions: Interactions, ids: SemanticIds, name: str) -> "Coded":
        """name: the method's, for the error."""
        if len(ids) != interactions.n_items:
            raise DataError(
                f"{name}: semantic ids of {len(ids):,} items for a catalogue of {interactions.n_items:,}. Give every item its "
                "codes: those that came since can have some without the others' changing."
            )
        return cls(ids, interactions.available & (interactions.item_counts() > 0) & ids.there)

    def tree(self, items: Bool | None = None) -> Trie:
        """Of the proposed items, those of them alone that are allowed [catalogue] where that is given."""
        if self._tree is None or not _same(self._tree[0], items):
            size = len(self.proposed)
            allowed = self.proposed if items is None else self.proposed & np.pad(items, (0, max(size - len(items), 0)))[:size]
            self._tree = (None if items is None else items.copy(), Trie(self.ids, allowed))
        return self._tree[1]

    def past(self, history: History, length: int) -> tuple[Tensor, Bool]:
        """The newest items that have codes, [known, T], 0 behind; and which rows have any, [R]."""
        newest = only_readable(history, self.ids.there).newest(length)
        known = newest.lengths > 0
        items = newest.take(known).last(max(int(newest.lengths.max(initial=0)), 1))
        return torch.from_numpy(items.astype(np.int64)), known

    def arrays(self) -> dict[str, NDArray[Any]]:
        fingerprint = np.frombuffer(self.ids.fingerprint.encode(), np.uint8)
        own = {**self.ids.arrays(), "proposed": self.proposed, "fingerprint": fingerprint}
        return {_PREFIX + name: values for name, values in own.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], name: str) -> "Coded":
        own = {key.removeprefix(_PREFIX): values for key, values in arrays.items() if key.startswith(_PREFIX)}
        ids, trained_on = SemanticIds.from_arrays(own), own["fingerprint"].tobytes().decode()
        if trained_on != ids.fingerprint:
            raise ArtifactError(
                f"{name}: it was trained on codes {trained_on[:12]} and is stored with codes {ids.fingerprint[:12]}. "
                "Train it again on these, or store it with its own."
            )
        return cls(ids, own["proposed"].astype(np.bool_))


def only(ids: SemanticIds, kept: Bool) -> SemanticIds:
    """The others [n_items] as if they had no codes."""
    return ids if kept[ids.there].all() else replace(ids, codes=np.where(kept[:, None], ids.codes, np.int32(-1)))


@runtime_checkable
class WritesCodes(Protocol):
    """A retriever that writes items as codes."""

    coded: Coded


def others(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a model that are not its codes."""
    return {name: values for name, values in arrays.items() if not name.startswith(_PREFIX)}


def _same(one: Bool | None, other: Bool | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)
