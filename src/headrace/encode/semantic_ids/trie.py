"""All codes of a catalogue as one tree: which code may come next, and which item a whole code is.

    trie = Trie(ids);   nodes = trie.root(rows);   trie.children(nodes, level) -> [.., sizes[level]], -1 where there is none
    nodes = trie.children(nodes, 0).gather(-1, codes);   ...;   items = trie.item(nodes) after the last level

A node is a number inside its level: items sorted by their codes make every prefix a run of neighbours, numbered in order, and a
node after the last level is one item. Memory O(nodes · symbols of their level) int32: 12,000 items of 256 symbols a level, 20 MB.
Cost: building O(n levels log n), a step one look-up a beam.
"""

import numpy as np
import torch
from torch import Tensor

from headrace.contracts.requests import Bool, Int64
from headrace.encode.semantic_ids.ids import SemanticIds


class Trie:
    """allowed [n_items]: the tree of these items alone. Tensors follow `to`."""

    def __init__(self, ids: SemanticIds, allowed: Bool | None = None):
        kept = ids.there if allowed is None else ids.there & allowed
        items = np.flatnonzero(kept)
        codes = ids.codes[items]
        order = np.lexsort(codes.T[::-1])
        items, codes = items[order], codes[order]
        self.sizes, self.levels = ids.sizes, ids.levels
        self.paths: Int64 = np.full((len(ids), ids.levels), -1, np.int64)
        """[n_items, levels]: the node an item's codes lead to at each level, -1 for an item that isn't in the tree."""
        tables = []
        parent: Int64 = np.zeros(len(items), np.int64)
        for level in range(ids.levels):
            begins = np.ones(len(items), bool)
            begins[1:] = (parent[1:] != parent[:-1]) | (codes[1:, level] != codes[:-1, level])
            node = np.cumsum(begins) - 1
            table = np.full((max(int(parent.max(initial=0)) + 1, 1), ids.sizes[level]), -1, np.int32)
            table[parent, codes[:, level]] = node
            tables.append(torch.from_numpy(table))
            self.paths[items, level] = node
            parent = node
        self.tables = tables
        self.items = torch.from_numpy(items.astype(np.int64))

    def __len__(self) -> int:
        """Items in the tree."""
        return len(self.items)

    def to(self, device: torch.device) -> "Trie":
        self.tables = [table.to(device) for table in self.tables]
        self.items = self.items.to(device)
        return self

    def root(self, *shape: int) -> Tensor:
        """Nodes to begin from."""
        return torch.zeros(shape, dtype=torch.int64, device=self.items.device)

    def children(self, nodes: Tensor, level: int) -> Tensor:
        """[..] -> int32 [.., sizes[level]]: the node each code leads to, -1 where no item begins so."""
        return self.tables[level][nodes]

    def item(self, nodes: Tensor) -> Tensor:
        """Of nodes after the last level."""
        return self.items[nodes]
