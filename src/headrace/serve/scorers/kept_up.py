"""An `Incremental` scorer as it is served: a user's sums are kept, and what came since the last request is added to them.

    history as it was    a_1 .. a_m       newest `history` events, as the request before carried them
    history now          a_(d+1) .. a_m b_1 .. b_e
    sums now             sums - a_1 .. a_d + b_1 .. b_e

The sums are of exactly the events that the request carries, so a state is what `user` makes of them, whatever came before: an
event that arrived late, stands in between or was taken out leaves no such overlap, and the sums are made anew. So are those of a
request that is worked out again as of an earlier moment. The order of items is all that such a state hangs on, so moments are
not compared, and a moment may be told by a number that counts on.
What is read of the sums is kept beside them, so a history that is as it was costs a look-up. Of short histories that alone is
kept: below WORTH events, ONNX Runtime reads them all in less time than sums take.
Cost: O(T) comparisons of whole numbers, and of the scorer O(events added and gone) and what `read_of` takes; without it O(T) of
the scorer's own work. Requests of several rows at once go the plain way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.contracts.batch import Batch, Field
from headrace.contracts.requests import Int32
from headrace.contracts.seams import Outputs, State
from headrace.serve.scorers.kept_states import WHO, KeptStates

WORTH = 2500
"""Events from which on sums are kept: about where they gain, by `benchmarks.long_history`."""
MOST_NEW = 64
"""Events since the request before, beyond what filled a history up; with more, sums are made anew."""


@dataclass(frozen=True)
class Held:
    """read, sums: of these items; sums None where they are few. taken: events ever added, which is the moment of the next."""

    items: Int32
    read: State
    sums: Any
    taken: int

    @property
    def nbytes(self) -> int:
        tensors = sum(one.nbytes for one in self.read.values())
        return self.items.nbytes + tensors + (0 if self.sums is None else self.sums.nbytes)


class KeptUp:
    """A `Scorer`. built: an `Incremental` one. served: it as it scores. count: told what became of each request's sums.

    "kept": as they were; "updated"; "made" anew.
    """

    def __init__(self, stage: str, built: Any, served: Any, kept: KeptStates, count: Callable[[str], None]):
        self.stage, self.built, self.served, self.kept, self.count = stage, built, served, kept, count
        self.schema = {**built.schema, WHO: Field("int64", ("rows",))}
        self.candidate_schema = built.candidate_schema

    def user(self, batch: Batch) -> State:
        batch = dict(batch)
        who = batch.pop(WHO)
        if len(who) != 1:
            state: State = self.served.user(batch)
            return state
        features = self.built.features_of(batch)
        row, number = batch["history"][0].numpy(), int(who[0])
        items = row[row > 0].astype(np.int32)
        held: Held | None = self.kept.get(self.stage, number) if number else None
        if held is not None and np.array_equal(held.items, items):
            self.count("kept")
            return {**held.read, **features}
        if len(items) < WORTH:
            self.count("made")
            read = {name: values for name, values in self.served.user(batch).items() if name not in features}
            now = Held(items, read, None, 0)
        else:
            now = self._summed(held, items)
        if number:
            self.kept.put(self.stage, number, now, now.nbytes)
        return {**now.read, **features}

    def score(self, state: State, candidates: Batch) -> Outputs:
        outputs: Outputs = self.served.score(state, candidates)
        return outputs

    def _summed(self, held: Held | None, items: Int32) -> Held:
        new = None if held is None or held.sums is None else added(held.items, items)
        if held is None or new is None:
            self.count("made")
            sums, taken = self.built.state_of(items, np.arange(len(items))), len(items)
        else:
            self.count("updated")
            gone, taken = len(held.items) + new - len(items), held.taken + new
            # what comes is added first: a history of which nothing stays would else have no sums in between
            sums = self.built.updated(held.sums, items[len(items) - new :], np.arange(held.taken, taken))
            sums = self.built.less(sums, held.items[:gone])
        return Held(items, self.built.read_of(sums), sums, taken)


def added(before: Int32, now: Int32) -> int | None:
    """How many events at the end of `now` come after those it has in common with the end of `before`; None: it is no such pair.

    Of several answers the smallest; as items in their order are all that counts, each is right.
    """
    least = max(len(now) - len(before), 0)
    for new in range(least, min(least + MOST_NEW, len(now)) + 1):
        common = len(now) - new
        if common == 0:
            return new if not len(before) else None  # nothing in common: there is nothing to build on
        if before[-1] == now[common - 1] and np.array_equal(before[len(before) - common :], now[:common]):
            return new
    return None
