"""An `Incremental` scorer as it is served: a user's sums are kept, and what came since the last request is added to them.

    history as it was    a_1 .. a_m       newest `history` events, as the request before carried them
    history now          a_(d+1) .. a_m b_1 .. b_e
    sums now             sums - a_1 .. a_d + b_1 .. b_e

The sums are of exactly the events that the request carries, so a state is what `user` makes of them, whatever came before: an
event that arrived late, stands in between or was taken out leaves no such overlap, and the sums are made anew. So are those of a
request that is worked out again as of an earlier moment. The order of items is all that such a state hangs on, so moments are
not compared, and a moment may be told by a number that counts on.
Cost: O(T) comparisons of whole numbers, and of the scorer O(events added and gone) and what `user_of` takes; without it O(T) of
the scorer's own work. Requests of several rows at once go the plain way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.contracts.batch import Batch, Field
from headrace.contracts.requests import Int32
from headrace.contracts.seams import Outputs, State
from headrace.serve.kept_states import WHO, KeptStates

MOST_NEW = 64
"""Events since the request before, beyond what filled a history up; with more, sums are made anew."""


@dataclass(frozen=True)
class Held:
    """sums: of these items. taken: events that were ever added, which is the moment of the next."""

    items: Int32
    sums: Any
    taken: int


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
        row = batch["history"][0].numpy()
        return self.built.user_of(self._sums(int(who[0]), row[row > 0].astype(np.int32)), batch)  # type: ignore[no-any-return]

    def score(self, state: State, candidates: Batch) -> Outputs:
        outputs: Outputs = self.served.score(state, candidates)
        return outputs

    def _sums(self, who: int, items: Int32) -> Any:
        held: Held | None = self.kept.get(self.stage, who) if who else None
        new = None if held is None else added(held.items, items)
        if held is None or new is None:
            self.count("made")
            now = Held(items, self.built.state_of(items, np.arange(len(items))), len(items))
        elif not new and len(held.items) == len(items):
            self.count("kept")
            return held.sums
        else:
            self.count("updated")
            gone, taken = len(held.items) + new - len(items), held.taken + new
            # what comes is added first: a history of which nothing stays would else have no sums in between
            sums = self.built.updated(held.sums, items[len(items) - new :], np.arange(held.taken, taken))
            now = Held(items, self.built.less(sums, held.items[:gone]), taken)
        if who:
            self.kept.put(self.stage, who, now, now.items.nbytes + now.sums.nbytes)
        return now.sums


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
