"""A split of some of a log's users, as if the others had not been: a subsample for measuring on small machines.

The users are drawn by a hash of each id. The catalogue stays whole: items that none of them chose are ranked too.
"""

from dataclasses import replace
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

from headrace.contracts.config import config
from headrace.data.histories import HistoryStore
from headrace.data.holdouts import Held, LeaveLast
from headrace.data.log import Log
from headrace.data.splits import user_draw
from headrace.data.steps import gathered


@config
class SomeUsers:
    """share: of the users, nearly. split: how theirs are held back."""

    share: Annotated[float, Gt(0.0), Lt(1.0)]
    split: LeaveLast = LeaveLast()

    def of(self, log: Log) -> Held:
        """Events are taken as they stand; when one was received later than it happened is not looked at."""
        events = log.store.events
        kept = user_draw(log.users, log.seed) < self.share
        begins, ends = events.offsets[:-1], np.where(kept, events.offsets[1:], events.offsets[:-1])
        held = self.split.of(log.with_store(HistoryStore(gathered(events, begins, ends))))
        return replace(held, describes=f"{held.describes}; of {int((ends > begins).sum()):,} users drawn by a hash of their ids")
