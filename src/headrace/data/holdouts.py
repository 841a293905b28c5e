"""Splits of a log for measuring: what may be learned from, and the requests with their answers that are held back.

    split = LeaveLast().of(log)
    model.fit(split.train())               # then stop it on split.valid(), refit on split.refit()
    requests, answers = split.test()

| split | held back | leaks |
|---|---|---|
| GlobalTemporal | everything from a moment on | nothing: it is how a system is used |
| LeaveLast | each user's last step, the one before for validation | others' events after a user's last are learned from |
| ByUser | all events of some users; their steps are asked with the history before them | others' events of later times |

A split is places in the history store, so what is handed out for learning can't hold a held-back event; ties in time are one step
and are never cut, except by `LeaveLast(ties="file_order")`, which is for comparison with published protocols.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from annotated_types import Gt, Lt

from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Bool, History, Int64, Requests
from headrace.data.clocks import need_times
from headrace.data.features import Features
from headrace.data.histories import HistoryStore
from headrace.data.history_build import build_histories
from headrace.data.log import Log
from headrace.data.splits import moments, user_draw
from headrace.data.step_clock import END_US, step_times
from headrace.data.steps import steps_between

Share = Annotated[float, Gt(0.0), Lt(1.0)]
Answered = tuple[Requests, History]


class Split(Protocol):
    """A way to hold events back, as settings."""

    def of(self, log: Log) -> "Held": ...


@dataclass(frozen=True)
class Held:
    """A split of one log. Places in the store, [users] each: what is learned from is [row begin, train_end), once tuned
    [row begin, refit_end); what is asked is [valid_start, valid_end) and [test_start, test_end).

    describes: one sentence for a report, with what the split leaks. outside [users]: users of whom nothing may be learned.
    """

    name: str
    describes: str
    log: Log
    train_end: Int64
    refit_end: Int64
    valid_window: tuple[Int64, Int64]
    test_window: tuple[Int64, Int64]
    outside: Bool
    one_by_one: bool = False

    def train(self, features: Features | None = None) -> Interactions:
        return self._interactions(self.train_end, features)

    def refit(self, features: Features | None = None) -> Interactions:
        """Train and validation together, once all is tuned."""
        return self._interactions(self.refit_end, features)

    def features(self) -> Features:
        """Fitted on what was known when the last event to learn from came, and on no user outside."""
        return self.log.features(self._cut_us(self.train_end), without=self.outside)

    def valid(self, *, newest: int | None = None, unseen_only: bool = True) -> Answered:
        return self._asked(self.valid_window, newest, unseen_only)

    def test(self, *, newest: int | None = None, unseen_only: bool = True) -> Answered:
        return self._asked(self.test_window, newest, unseen_only)

    def _cut_us(self, ends: Int64) -> int:
        events = self.log.store.events
        last = events.at_us[ends[ends > events.offsets[:-1]] - 1]
        if not len(last):
            raise DataError(f"{self.name}: no event is left to learn from. Give a longer log, or hold less back.")
        return int(last.max()) + 1

    def _interactions(self, ends: Int64, features: Features | None) -> Interactions:
        return self.log.interactions_until(ends, self._cut_us(ends), features)

    def _asked(self, window: tuple[Int64, Int64], newest: int | None, unseen_only: bool) -> Answered:
        events = self.log.store.events
        start, end = window
        end = np.where(self.log.refusing(self._cut_us(self.refit_end)), start, end)
        steps = steps_between(events, start, end, len(self.log.items), unseen_only=unseen_only, one_by_one=self.one_by_one)
        return self.log.requests_of(steps, newest, tied=self.one_by_one), steps.answers


@config
class GlobalTemporal:
    """Shares of the events, newest last. The cuts are moments, so a step falls whole on one side."""

    valid_share: Share = 0.1
    test_share: Share = 0.1

    def of(self, log: Log) -> Held:
        need_times(log.clock, "A split by time")
        valid_us, test_us = moments(log.store.events.at_us, (self.valid_share, self.test_share))
        start, valid, test, end = _begins(log.store), log.store.places(valid_us), log.store.places(test_us), _ends(log.store)
        says = f"global temporal: validation from {_day(valid_us)}, test from {_day(test_us)}, everything before is learned from"
        return Held("global temporal", says, log, valid, test, (valid, test), (test, end), np.zeros(len(start), np.bool_))


@config
class LeaveLast:
    """ties "step": a user's events at one moment are held back together. "file_order": each event alone, ties as the file has
    them, the way published tables do it. A user with fewer than three steps is learned from and not asked."""

    ties: Literal["step", "file_order"] = "step"

    def of(self, log: Log) -> Held:
        alone = self.ties == "file_order"
        if alone:
            log = log.with_store(build_histories(log.tables, log.users, log.items, log.kinds, log.seed, file_order=True))
        begins, ends = _begins(log.store), _ends(log.store)
        stepped = log.store.retimed(step_times(log.store.events, one_by_one=alone))
        valid, test = stepped.places(END_US - 1), stepped.places(END_US)
        order = "ties in the file's order, each event its own step" if alone else "ties in time are one step"
        says = (
            f"leave-last: each user's last step is test, the one before validation ({order}); users overlap in time, so what "
            "others did later is learned from: compare within this table, not with a system in use"
        )
        return Held("leave-last", says, log, valid, test, (valid, test), (test, ends), np.zeros(len(begins), np.bool_), alone)


@config
class ByUser:
    """Shares of the users, drawn by a hash of each id, so that a user stays on one side whoever else is in the log."""

    valid_share: Share = 0.1
    test_share: Share = 0.1

    def of(self, log: Log) -> Held:
        begins, ends = _begins(log.store), _ends(log.store)
        draw = user_draw(log.users, log.seed)
        test, valid = draw < self.test_share, (draw >= self.test_share) & (draw < self.test_share + self.valid_share)
        says = (
            f"by user: {int(test[1:].sum())} users are test, {int(valid[1:].sum())} validation, none of their rows is learned "
            "from; others' events of later times are, so it leaks across users in time"
        )
        train_end, refit_end = np.where(test | valid, begins, ends), np.where(test, begins, ends)
        asked_valid, asked_test = np.where(valid, begins, ends), np.where(test, begins, ends)
        return Held("by user", says, log, train_end, refit_end, (asked_valid, ends), (asked_test, ends), test | valid)


def _begins(store: HistoryStore) -> Int64:
    return np.asarray(store.events.offsets[:-1])


def _ends(store: HistoryStore) -> Int64:
    return np.asarray(store.events.offsets[1:])


def _day(time_us: int) -> str:
    return str(np.datetime64(time_us, "us").astype("datetime64[m]"))
