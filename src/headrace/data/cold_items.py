"""A split with items that nobody could learn from: some of the catalogue is taken out of all histories and asked for alone.

    a user's steps:    e e h e e V W h e e           h: of a hidden item
                       learned from:  e e e e        V: validation, W: the warm answer, the last h: the cold answer

The items are drawn by a hash of their ids, however often they were chosen. Cold and warm questions are of the same users and are
asked apart: the warm one after V, the cold one after W. What a user did after their last hidden item is left out, so that nothing
that is learned from comes after it. A user with fewer than four steps before it is asked the warm question alone, of all steps.
It is for measuring, and leaks across users in time as `LeaveLast` does.
"""

from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

from headrace.contracts.config import config
from headrace.contracts.requests import Bool, History, Int64
from headrace.contracts.rng import mix, seed_of, stable_hash, uniform
from headrace.data.histories import HistoryStore
from headrace.data.holdouts import Answered, Held, LeaveLast
from headrace.data.log import Log

_ENOUGH = 4


@dataclass(frozen=True)
class HeldWithCold(Held):
    """hidden [n_items]: what was taken out. cold: requests whose answers are hidden items; `test()` asks for the others."""

    hidden: Bool | None = None
    cold: Answered | None = None


@config
class ColdItems:
    """share: of the catalogue, nearly."""

    share: Annotated[float, Gt(0.0), Lt(1.0)] = 0.07

    def of(self, log: Log) -> HeldWithCold:
        """Events are taken as they stand; when one was received later than it happened is not looked at."""
        events, rows = log.store.events, log.store.events.rows()
        hidden = np.zeros(len(log.items), np.bool_)
        hidden[1:] = uniform(mix(stable_hash(log.items.ids.to_list()), seed_of(log.seed, "cold items"))) < self.share
        out = hidden[events.items]
        asked_us = np.full(len(events), -1, np.int64)  # when a user's last hidden item came
        np.maximum.at(asked_us, rows[out], events.at_us[out])
        before = ~out & (events.at_us < asked_us[rows])
        asked = _steps(rows[before], events.at_us[before], len(events)) >= _ENOUGH
        kept = np.where(asked[rows], before, ~out)
        store = HistoryStore(_only(events, rows, kept))
        left = log.with_store(store)
        held = LeaveLast().of(left)
        users = np.flatnonzero(asked).astype(np.int32)
        answers = _only(events, rows, out & asked[rows] & (events.at_us == asked_us[rows])).take(users)
        says = (
            f"{held.describes}; {int(hidden.sum()):,} of {len(hidden) - 1:,} items are hidden from all histories, and "
            f"{len(users)} users are asked for their last of those after all that"
        )
        own = {field.name: getattr(held, field.name) for field in fields(Held)} | {"name": "cold items", "describes": says}
        return HeldWithCold(**own, hidden=hidden, cold=(left.requests(users, asked_us[users]), answers))


def _steps(rows: Int64, at_us: Int64, users: int) -> Int64:
    """Distinct moments of each user, [users]. Rows in order, times in order inside them."""
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(rows) != 0) | (np.diff(at_us) != 0)
    return np.bincount(rows[new], minlength=users)


def _only(events: History, rows: Int64, kept: Bool) -> History:
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(events)))])
    return History(offsets, events.items[kept], events.at_us[kept])
