"""Steps in place of times: leave-last and by user become cuts of a clock that counts each user's steps from their end.

    leave_last   everybody's last step stands at END_US, the one before at END_US - 1, …: the test window is the last step, the
                 ranker's the second last, the pre-ranker's the third last, validation the fourth last
    by_user      the same of users who are learned from, a step earlier: END_US - 1 is their last. A held-out user's last step
                 stands at 2 END_US and all their earlier ones after END_US, so none is before any cut; the last is asked about

Nothing past this clock needs to know of it: windows, histories and candidates as of a moment are what they are on the clock of
time. A user of fewer than three steps has no step in a window: learned from (or held out), not asked about. When an event was
received is not looked at: it has no step. Cost O(events).
"""

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, History, Int64
from headrace.data.clocks import need_times
from headrace.data.log import Log
from headrace.data.splits import Cuts, SplitConfig, temporal_cuts, user_draw
from headrace.data.steps import steps_after

END_US = 10**9  # more steps than any user has, so that held-out users' all stand after it
_ENOUGH = 3
_WINDOWS = 3  # before the test


def step_times(events: History, held_out: Bool | None = None, *, one_by_one: bool = False) -> Int64:
    """The step each event stands at, [events]. held_out [users]: split by user, and these are asked about; None: leave-last.

    one_by_one: each event is a step of its own, in the store's order, also where times are tied.
    """
    after = steps_after(events, one_by_one=one_by_one)
    steps = np.zeros(len(events), np.int64)
    there = events.lengths > 0
    steps[there] = after[events.offsets[:-1][there]] + 1
    few = steps < _ENOUGH
    last = np.where(few, END_US - _WINDOWS - 1, END_US if held_out is None else END_US - 1)
    if held_out is not None:
        last = np.where(held_out, 2 * END_US - few, last)
    return np.repeat(last, events.lengths) - after


def held_out(log: Log, split: SplitConfig) -> Bool | None:
    """Of whom nothing may be learned, [users]; None where that is nobody."""
    return user_draw(log.users, log.seed) < split.test_share if split.kind == "by_user" else None


def cuts_of(log: Log, split: SplitConfig) -> Cuts:
    """log: on the clock that the split cuts."""
    at_us = log.store.events.at_us
    if not split.by_steps:
        need_times(log.clock, "A split by time")
        return temporal_cuts(at_us, split)
    if not len(at_us):
        raise DataError("events: there are none, so there is nothing to split. Check the file and the quarantine.")
    newest = END_US - (split.kind == "by_user")
    asked = END_US if split.kind == "leave_last" else 2 * END_US
    cuts = Cuts(
        first_us=int(at_us.min()), valid_us=END_US - 3, prerank_us=END_US - 2, rank_us=END_US - 1, test_us=END_US,
        asked_us=asked, last_us=int(at_us.max()), newest_step_us=newest,
    )  # fmt: skip
    if not cuts.first_us < cuts.valid_us or cuts.last_us < asked:
        raise DataError(
            f"events: {split.kind} needs users of at least {newest - cuts.valid_us + 2} steps to learn from and of {_ENOUGH} to "
            f"ask about; of these {int((log.store.events.lengths > 0).sum())} users none has that. Give a longer log."
        )
    return cuts
