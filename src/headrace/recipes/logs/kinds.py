"""A baseline for readers of long histories: a user's events by k-means into as many kinds as candidates read vectors.

    begin: events spread evenly over the history;   kind_t = the centre of the largest e_t · c,   c = mean of its e, at length 1
    Z_m = mean of v_t over the events of kind m

e: frozen vectors of items, at length 1; v: what is learned of events. As `centres`, with kinds in place of stretches of time.
Shapes: vectors [R, T, d], there [R, T] -> kinds [R, T]. Cost O(rounds R T M d) a request, O(M D) a candidate: too much to do anew
for every request of a shop, and each user's kinds are their own, so no tree or codes are shared.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headrace.contracts.batch import Batch
from headrace.contracts.seams import State
from headrace.methods.rank.centres import Centres, by_events, pooled


class Kinds(Centres):
    """A learned `Scorer` whose features hold items' vectors."""

    def _kept(self, batch: Batch) -> State:
        items, kept = self._items(batch), self.config.kept
        there = items > 0
        kind = kinds(normalize(self.fields.get_buffer("vectors")[items], dim=-1), there, kept)
        read, count = pooled(self._past(batch), there, kind, kept)
        return {"read": read, "there": count > 0}


@torch.no_grad()
def kinds(vectors: Tensor, there: Tensor, most: int, *, rounds: int = 3) -> Tensor:
    """vectors of length 1, or 0 where there is nothing: those are of the first kind, and `there` says so."""
    stretch = by_events(there, most)
    begins = (torch.diff(stretch, dim=1, prepend=stretch.new_full((len(stretch), 1), -1)) > 0) & there
    centres, count = pooled(vectors, begins, stretch, most)
    for _ in range(rounds):
        kind = _nearest(vectors, centres, count)
        centres, count = pooled(vectors, there, kind, most)
        centres = normalize(centres, dim=-1)
    return _nearest(vectors, centres, count)


def _nearest(vectors: Tensor, centres: Tensor, count: Tensor) -> Tensor:
    likeness = vectors @ centres.transpose(1, 2)
    return likeness.masked_fill((count == 0).unsqueeze(1), -torch.inf).argmax(2)
