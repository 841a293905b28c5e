"""Steps as requests: a user's events at one moment are one request as of that moment, whose answer is the set of its items."""

from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Bool, History, Int32, Int64


@dataclass(frozen=True)
class Steps:
    """users, at_us [S]; begins [S]: the place in the store where each begins, its past stands before it; answers [S] rows."""

    users: Int32
    at_us: Int64
    begins: Int64
    answers: History

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: Int64) -> "Steps":
        return Steps(self.users[rows], self.at_us[rows], self.begins[rows], self.answers.take(rows))

    def past(self, events: History, newest: int | None = None) -> History:
        """The events before each step, at most the `newest`."""
        first = events.offsets[self.users]
        return gathered(events, first if newest is None else np.maximum(first, self.begins - newest), self.begins)


def steps_between(
    events: History, start: Int64, end: Int64, n_items: int, *, unseen_only: bool, one_by_one: bool = False
) -> Steps:
    """Of each user's events in [start, end), places in the store [users], in time order over all users.

    unseen_only: an item the user had before is no answer, and a step with none left is dropped. one_by_one: each event is a step
    of its own, in the store's order, also where times are tied.
    """
    window = gathered(events, start, end)
    users, items, at_us = window.rows().astype(np.int32), window.items, window.at_us
    place = np.arange(len(users)) + np.repeat(start - window.offsets[:-1], window.lengths)
    first = np.ones(len(users), np.bool_)
    if not one_by_one:
        first[1:] = (np.diff(users) != 0) | (np.diff(at_us) != 0)
    begins = place[np.flatnonzero(first)][np.cumsum(first) - 1]
    if unseen_only:
        fresh = _first_time(events, window, start, n_items)
        users, items, at_us, begins = users[fresh], items[fresh], at_us[fresh], begins[fresh]
    new = np.ones(len(users), np.bool_)
    new[1:] = np.diff(begins) != 0
    starts = np.flatnonzero(new)
    answers = History(np.concatenate([starts, [len(users)]]), items, at_us)
    return Steps(users[starts], at_us[starts], begins[starts], answers).take(np.argsort(at_us[starts], kind="stable"))


def steps_after(events: History, *, one_by_one: bool = False) -> Int64:
    """How many of its user's steps come after each event's own, [events]: 0 in the last. one_by_one: each event is a step."""
    new = np.ones(len(events.items) + 1, np.bool_)
    if not one_by_one:
        new[1:-1] = events.at_us[1:] != events.at_us[:-1]
        new[events.offsets[:-1]] = True
    number: Int64 = np.cumsum(new[:-1], dtype=np.int64)
    last = number[events.offsets[1:] - 1] if len(number) else np.zeros(len(events), np.int64)
    return np.repeat(last, events.lengths) - number


def gathered(events: History, start: Int64, end: Int64) -> History:
    """Rows [start, end) of the store, one a pair; only what is returned is read."""
    offsets = np.concatenate([[0], np.cumsum(end - start)])
    index = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], end - start)
    return History(offsets, np.asarray(events.items[index]), np.asarray(events.at_us[index]))


def _first_time(events: History, window: History, start: Int64, n_items: int) -> Bool:
    """Whether each event of the window is its user's first of its item."""
    keys = window.rows() * n_items + window.items
    fresh = np.zeros(len(keys), np.bool_)
    fresh[np.unique(keys, return_index=True)[1]] = True
    users = np.flatnonzero(window.lengths)
    past = gathered(events, events.offsets[users], start[users])
    return fresh & ~np.isin(keys, users[past.rows()] * n_items + past.items)
