"""A user's interests by votes in a tree of codes: which of the leaves that the events fall on are kept.

    votes(node) = events whose codes begin with the node's,    kept_0 = {root}
    kept_l = of each node of kept_(l-1) the `most_l` children with the most votes; of equals, the one with the newer event

The kept of the last level, prod most_l at most, are the user's agents; a node without a vote is never kept. `flat` keeps the
leaves with the most votes, whatever stands above them.
Shapes: leaves [R, G] ascending, 0: none; tree [n_leaves + 1, L], each leaf's node at every level, of whom the last is itself;
nodes of a level ascend with their leaves, and 0 is that of leaf 0 alone. Agents [R, M].
Cost: O(L G log G) a row, sorts of whole numbers without a loop over rows. Nothing here is learned, so all of it can be made
ahead, and it exports. Numbers go up to n_leaves · T and G · bound², so rows of a million events are within 64 bits.
Paper: HiSAC (arXiv 2602.21009), voting and sparse activation; ties by the newest event are our reading: docs/papers/hisac.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Ballot:
    """leaves [R, G] ascending; votes [R, G], 0 at what is no leaf or stands twice; newest [R, G].

    newest: the place of a leaf's last event. bound: above every vote and place.
    """

    leaves: Tensor
    votes: Tensor
    newest: Tensor
    bound: int


@dataclass(frozen=True)
class Agents:
    """leaves [R, M], the one with the most votes first, 0 where there are fewer; votes [R, M]."""

    leaves: Tensor
    votes: Tensor

    @property
    def there(self) -> Tensor:
        return self.votes > 0


def cast(leaves: Tensor) -> Ballot:
    """leaves [R, T] of events, oldest first, 0: this one has none."""
    length = leaves.shape[1]
    # leaf and place in one number: equals would come in any order from a sort that is exported
    order = (leaves * length + torch.arange(length, device=leaves.device)).sort(1).values
    leaf, place = order // length, order % length
    votes = _added(_runs(leaf), torch.ones_like(leaf))
    last = votes.cumsum(1) - 1  # behind the last leaf it stays there, so leaves still ascend
    found = leaf.gather(1, last)
    return Ballot(found, votes * (found > 0), place.gather(1, last), length + 1)


def elected(ballot: Ballot, tree: Tensor, most: Sequence[int], at_most: int) -> Agents:
    """most: of each level, the root's children first. at_most: agents, M where the levels keep more."""
    above = torch.zeros_like(ballot.leaves)
    kept = ballot.votes > 0
    for level, number in enumerate(most):
        run = _runs(tree[:, level][ballot.leaves])
        kept = kept & (_places(run, above, ballot).gather(1, run) < number)
        above = run
    return _best(ballot, kept, min(prod(most), at_most))


def flat(ballot: Ballot, most: int) -> Agents:
    return _best(ballot, ballot.votes > 0, most)


def _best(ballot: Ballot, kept: Tensor, size: int) -> Agents:
    rank = torch.where(kept, ballot.votes * ballot.bound + ballot.newest, -1)
    short = max(size - rank.shape[1], 0)
    found = pad(rank, (0, short), value=-1).topk(size, 1)
    there = found.values >= 0
    leaves, votes = (pad(one, (0, short)).gather(1, found.indices) * there for one in (ballot.leaves, ballot.votes))
    return Agents(leaves, votes)


def _places(run: Tensor, above: Tensor, ballot: Ballot) -> Tensor:
    """[R, G]: of each run of leaves (a node), which of its parent's children it is, by votes; from 0.

    above: the run of each leaf's parent. Runs of one parent stand side by side.
    """
    bound = ballot.bound
    entries = _added(run, torch.ones_like(run))
    votes = _added(run, ballot.votes)
    counted = torch.where(ballot.votes > 0, ballot.newest + 1, 0)
    newest = (run * (bound + 1) + counted).sort(1).values.gather(1, (entries.cumsum(1) - 1).clamp(min=0)) % (bound + 1)
    parent = torch.zeros_like(run).scatter(1, run, above)
    there = entries > 0
    key = (parent * bound + (bound - 1 - votes)) * (bound + 1) + (bound - newest)
    order = torch.where(there, key, torch.iinfo(key.dtype).max).sort(1).indices
    place = torch.zeros_like(order).scatter(1, order, torch.arange(run.shape[1], device=run.device).expand_as(order))
    children = _added(parent, there.to(parent.dtype))
    first = (children.cumsum(1) - children).gather(1, parent)
    return place - first


def _runs(values: Tensor) -> Tensor:
    """[R, G]: 0 for the first value and its equals beside it, 1 for the next, .."""
    return pad((values[:, 1:] != values[:, :-1]).long().cumsum(1), (1, 0))


def _added(run: Tensor, values: Tensor) -> Tensor:
    return torch.zeros_like(values).scatter_add(1, run, values)
