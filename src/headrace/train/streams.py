"""What a step reads: a batch of the epoch and, beside it, one of each stream, which go round and round.

Where a stream stands is (epoch, index) of its own, in the run's position, so that a run taken up again reads on exactly there.
"""

from collections import Counter
from collections.abc import Sequence

from headrace.contracts.batch import Batch
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.seams import Learned, Objective, Stream

Micro = tuple[Batch, ...]
"""A micro-batch: the main batch, then each stream's in their order."""


def readers(learned: Learned) -> list[Sequence[Objective]]:
    """The objectives that read each batch of a micro-batch."""
    return [learned.objectives, *(stream.objectives for stream in learned.streams)]


class Rounds:
    def __init__(self, streams: Sequence[Stream], name: str):
        twice = [found for found, times in Counter(stream.name for stream in streams).items() if times > 1]
        if twice:
            raise ConfigError(f"{name}: two streams are named {listed(twice)}: a checkpoint keeps each one's place by its name.")
        self.streams, self.name = streams, name
        self.open: dict[str, tuple[int, Sequence[Batch]]] = {}

    def next(self, places: dict[str, list[int]]) -> Micro:
        """One batch of each stream, from its [epoch, index] in `places`, which moves on."""
        return tuple(self._next(stream, places.setdefault(stream.name, [0, 0])) for stream in self.streams)

    def _next(self, stream: Stream, place: list[int]) -> Batch:
        batches = self._epoch(stream, place[0])
        if place[1] >= len(batches):
            place[:] = [place[0] + 1, 0]
            batches = self._epoch(stream, place[0])
        place[1] += 1
        return batches[place[1] - 1]

    def _epoch(self, stream: Stream, epoch: int) -> Sequence[Batch]:
        if self.open.get(stream.name, (-1,))[0] != epoch:
            self.open[stream.name] = epoch, stream.batches.epoch(epoch)
        batches = self.open[stream.name][1]
        if not len(batches):
            raise ConfigError(
                f"{self.name}: epoch {epoch} of stream {stream.name} has no batches. Give it some, or leave it out."
            )
        return batches
