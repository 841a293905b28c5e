"""Mean interest centres: a long history is cut into stretches, each is averaged, and candidates attend to the averages.

    Z_m = mean of v_t over the events of stretch m,     read = multi-head attention of the candidate over Z_1 .. Z_M

A stretch is the same number of events as any other ("events"), or the same span of time ("time", from the oldest event to the
newest). A stretch without events is not there. With M or fewer events each is its own centre, and it is attention over all.
Shapes: Z [R, M, D], score [R, C]. Cost: O(T D²) once a request, O(M D) a candidate, whatever T. State: M (4 D + 1) bytes a user;
its siblings keep all T events.
Use it where serving must not grow with the history and interests come one after the other. It loses where they are mixed: the
mean of a stretch of several interests is none of them, and a rare one drowns.
Siblings: `sim`, `eta` and `twin` keep all events and search them for each candidate. HiSAC names time patching among its
baselines (arXiv 2602.21009). Our reading: docs/papers/centres.md.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, State
from headrace.data.rank_inputs import AGES
from headrace.nn.long_history import LongHistoryScorer
from headrace.objectives.choice import learned_choice
from headrace.objectives.long_choice import LongConfig


@config
class CentresConfig(LongConfig):
    cut: Literal["events", "time"] = "events"


class Centres(LongHistoryScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = CentresConfig
    revision = 1
    config: CentresConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def _kept(self, batch: Batch) -> State:
        there, kept = self._items(batch) > 0, self.config.kept
        stretch = by_events(there, kept) if self.config.cut == "events" else by_time(batch[AGES], there, kept)
        read, count = pooled(self._past(batch), there, stretch, kept)
        return {"read": read, "there": count > 0}


def by_events(there: Tensor, kept: int) -> Tensor:
    """[R, T] -> the stretch of each event, equally many events in each."""
    number = there.long().cumsum(1) - 1
    return (number.clamp(min=0) * kept) // there.sum(1, keepdim=True).clamp(min=1)


def by_time(ages: Tensor, there: Tensor, kept: int) -> Tensor:
    """log(1 + hours) ago [R, T] -> the stretch of each event, equal spans from the oldest to the newest."""
    hours = ages.exp()  # and one, which no difference has
    oldest = hours.masked_fill(~there, -torch.inf).amax(1, keepdim=True)
    newest = hours.masked_fill(~there, torch.inf).amin(1, keepdim=True)
    since = (oldest - hours) / (oldest - newest).clamp(min=1e-6)
    # A little more, since regular times fall on a stretch's very edge, and rounding would say where they belong.
    return (since.masked_fill(~there, 0) * kept + 1e-3).long().clamp(0, kept - 1)


def pooled(past: Tensor, there: Tensor, stretch: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """past [R, T, D], there and stretch [R, T] -> the mean of each stretch [R, M, D], and its events [R, M]."""
    rows, _, dim = past.shape
    inside = there.to(past.dtype)
    count = past.new_zeros(rows, kept).scatter_add(1, stretch, inside)
    total = past.new_zeros(rows, kept, dim).scatter_add(1, stretch.unsqueeze(-1).expand_as(past), past * inside.unsqueeze(-1))
    return total / count.clamp(min=1).unsqueeze(-1), count
