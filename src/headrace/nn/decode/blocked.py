"""Items a row may not be given, as the parts of the tree that are closed to it.

A prefix is closed to a row when every item below it is blocked. The items below a prefix are neighbours in the tree's order, so a
row's blocked items, sorted, close it where a run of them has no gap and reaches from its first item to its last: nothing is
counted a node, and nothing as large as the catalogue is made. Cost O(B log B) a row for B blocked items, once, and a look-up of
the closed prefixes among the beams a level.
"""

import numpy as np
import torch
from torch import Tensor

from headrace.contracts.errors import DataError
from headrace.contracts.requests import History, Int64
from headrace.nn.decode.tree import CodeTree


class Blocked:
    """items: a history, or [R, B] with 0 for none. Items the tree doesn't have are nobody's business here."""

    def __init__(self, tree: CodeTree, items: Tensor | History, rows: int):
        if len(items) != rows:
            raise DataError(f"beam search: blocked items of {len(items)} rows for {rows} rows. Give one list a row.")
        self.leaves = max(len(tree), 1)
        row, item = _pairs(items)
        known = (item > 0) & (item < len(tree.paths))
        leaf = tree.paths[item[known], -1]
        row, leaf = row[known][leaf >= 0], leaf[leaf >= 0]
        row, leaf = np.divmod(np.unique(row * self.leaves + leaf), self.leaves)
        here, before, after = (_paths(tree, leaf + step) for step in (0, -1, 1))
        self.closed = []
        """A level: the key of each closed prefix's row and parent, and its own node."""
        for level in range(tree.levels):
            node = here[:, level]
            begins = np.ones(len(leaf), bool)
            begins[1:] = (node[1:] != node[:-1]) | (row[1:] != row[:-1])
            first = np.flatnonzero(begins)
            last = np.append(first[1:], len(leaf))[: len(first)] - 1
            whole = (leaf[last] - leaf[first] == last - first) & (before[first, level] != node[first])
            first = first[whole & (after[last, level] != node[first])]
            parent = here[first, level - 1] if level else np.zeros(len(first), np.int64)
            self.closed.append((torch.from_numpy(row[first] * self.leaves + parent), torch.from_numpy(node[first])))

    def close(self, open_: Tensor, children: Tensor, nodes: Tensor, level: int) -> None:
        """open_ [R, W, S], in place: False where a beam's child is closed. nodes [R, W]: the beams'."""
        wanted, node = (part.to(nodes.device) for part in self.closed[level])
        if not len(wanted):
            return
        rows, width = nodes.shape
        at = torch.arange(rows, device=nodes.device).unsqueeze(1) * self.leaves + nodes
        at = at.masked_fill(~open_.any(-1), -1).flatten()
        ordered, order = at.sort()
        place = torch.searchsorted(ordered, wanted).clamp(max=len(ordered) - 1)
        found = ordered[place] == wanted
        beam, node = order[place[found]], node[found]
        which, code = (children.flatten(0, 1)[beam] == node.unsqueeze(1)).nonzero(as_tuple=True)
        open_.view(rows * width, -1)[beam[which], code] = False


def _pairs(items: Tensor | History) -> tuple[Int64, Int64]:
    """The row and the item of each."""
    if isinstance(items, History):
        return items.rows(), items.items.astype(np.int64)
    flat = items.detach().cpu().numpy().astype(np.int64)
    return np.repeat(np.arange(len(flat)), flat.shape[1]), flat.reshape(-1)


def _paths(tree: CodeTree, leaf: Int64) -> Int64:
    """[n, levels], -1 beyond the first and the last."""
    there = (leaf >= 0) & (leaf < len(tree))
    found = np.full((len(leaf), tree.levels), -1, np.int64)
    found[there] = tree.paths[tree.item(torch.from_numpy(leaf[there]).to(tree.root(1).device)).cpu().numpy()]
    return found
