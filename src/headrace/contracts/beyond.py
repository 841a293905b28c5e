"""What is known of items by their numbers, some of them beyond the build's: looked up as one array of all of them would be.

Items that come while a generation serves have numbers behind its own. Rows of the build's are neither copied nor moved.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Int32


class Beyond:
    """base [n_items, ...]: the build's rows. more [n, ...]: those of `numbers` [n], ascending, all n_items or more."""

    def __init__(self, base: NDArray[Any], numbers: Int32, more: NDArray[Any]):
        self.base, self.numbers, self.more = base, numbers, more
        self._size = int(numbers[-1]) + 1 if len(numbers) else len(base)
        self.shape = (self._size, *np.maximum(base.shape[1:], more.shape[1:]).tolist())

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, items: NDArray[Any]) -> NDArray[Any]:
        """Rows of any items of these; the narrower of both is filled up with zeros."""
        new = items >= len(self.base)
        found = _filled(self.base[np.where(new, 0, items)], self.shape[1:])
        if new.any():
            found[new] = _filled(self.more[np.searchsorted(self.numbers, items[new])], self.shape[1:])
        return found


def _filled(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if rows.shape[rows.ndim - len(shape) :] == shape:
        return rows
    own = rows.ndim - len(shape)
    return np.pad(rows, [(0, 0)] * own + [(0, most - size) for most, size in zip(shape, rows.shape[own:], strict=True)])
