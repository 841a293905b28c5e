"""The tree of all codes as a search sees it: `encode.semantic_ids.Trie` is one.

A node is a number inside its level. Nodes after the last level are items, numbered in the order of their codes, so that the items
below any node are neighbours there.
"""

from typing import Protocol

from torch import Tensor

from headrace.contracts.requests import Int64


class CodeTree(Protocol):
    """paths [n_items, levels]: the node an item's codes lead to at each level, -1 for an item that isn't in the tree."""

    sizes: tuple[int, ...]
    levels: int
    paths: Int64

    def __len__(self) -> int:
        """Items in the tree."""
        ...

    def root(self, *shape: int) -> Tensor: ...

    def children(self, nodes: Tensor, level: int) -> Tensor:
        """[..] -> [.., sizes[level]]: the node each code leads to, -1 where no item begins so."""
        ...

    def item(self, nodes: Tensor) -> Tensor:
        """Of nodes after the last level."""
        ...
