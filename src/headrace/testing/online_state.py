"""What every online state promises: an event counts once, from when it was received, and not at all once its user was erased."""

from collections.abc import Sequence
from threading import Thread

import numpy as np
import polars as pl

from headrace.contracts.requests import Bool, Int64
from headrace.contracts.tables import EVENTS, TIME
from headrace.serve.state.layered import OnlineState
from headrace.testing.expect import expect, expect_equal

_CALLERS, _SAME = 8, 20


def check_online_state(state: OnlineState, items: Sequence[str], *, now_us: int = 10**15) -> None:
    """state: whose log knows at least three items, these, and no user whose id begins with "new". now_us: a moment in the past
    that lies after the log."""
    expect(isinstance(state, OnlineState), f"{type(state).__name__} lacks a part of OnlineState.")
    _order(state, items, now_us)
    _received(state, items, now_us)
    _once(state, items, now_us)
    _at_once(state, items, now_us)
    _erased(state, items, now_us)


def _order(state: OnlineState, items: Sequence[str], now_us: int) -> None:
    expect_equal(state.history(["new 1"], np.array([now_us])).lengths, [0], "a user nobody has heard of has a history")
    rows = [("new 1", items[place], now_us + at, f"order {at}") for place, at in enumerate((30, 10, 20))]
    new = state.append(_events([*rows, ("new 1", "an item that no log knows", now_us + 15, "order 15")]))
    expect_equal(new, [True] * 4, "events that are new are said not to be")
    found = state.history(["new 1", "new 0"], np.array([now_us + 30, now_us + 30]))
    expect_equal(found.lengths, [2, 0], "a history is not of what happened strictly before, of items the log knows")
    expect_equal(found.at_us, [now_us + 10, now_us + 20], "a history is not in the order of time")
    newest = state.history(["new 1"], np.array([now_us + 31]), 2)
    expect_equal(newest.at_us, [now_us + 20, now_us + 30], "the newest events are not the newest")


def _received(state: OnlineState, items: Sequence[str], now_us: int) -> None:
    state.append(_events([("new 2", items[0], now_us, "late")], received_us=now_us + 50))
    found = [state.history(["new 2"], np.array([now_us + at])).lengths[0] for at in (1, 50, 51)]
    expect_equal(found, [0, 0, 1], "an event is known before it was received")
    state.receive(_events([("new 2", items[1], now_us + 1, "just now")], received_us=0))
    expect_equal(state.history(["new 2"], np.array([now_us + 60])).lengths, [1], "`receive` keeps the time that an event says")


def _once(state: OnlineState, items: Sequence[str], now_us: int) -> None:
    rows = _events(
        [("new 3", items[0], now_us, "once"), ("new 3", items[1], now_us + 1, "twice"), ("new 3", items[1], now_us + 1, "twice")]
    )
    expect_equal(state.append(rows), [True, True, False], "an event that stands in a list twice is not new once")
    expect_equal(state.append(rows), [False] * 3, "an event sent again is new")
    expect_equal(state.history(["new 3"], np.array([now_us + 9])).lengths, [2], "an event sent again counts again")
    expect_equal(state.seen(["once", "never"]), [True, False], "seen")


def _at_once(state: OnlineState, items: Sequence[str], now_us: int) -> None:
    """Several callers send the same events, each in an order of its own."""
    rows = [("new 4", items[place % 3], now_us + place, f"same {place}") for place in range(_SAME)]
    told: list[Bool] = []
    callers = [Thread(target=lambda turn=turn: told.append(_one_by_one(state, rows, turn))) for turn in range(_CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    expect_equal(
        np.sum(told, 0), [1] * _SAME, "of callers who send the same event at once, not exactly one is told that it is new"
    )
    after_us = 2**62
    expect_equal(state.history(["new 4"], np.array([after_us])).lengths, [_SAME], "events sent at once do not count once")


def _one_by_one(state: OnlineState, rows: Sequence[tuple[str, str, int, str]], turn: int) -> Bool:
    order = np.roll(np.arange(_SAME), turn)
    found = np.zeros(_SAME, np.bool_)
    for place in order.tolist():
        found[place] = state.receive(_events([rows[place]]))[0]
    return found


def _erased(state: OnlineState, items: Sequence[str], now_us: int) -> None:
    at_us: Int64 = np.array([now_us + 100, now_us + 100])
    before = state.history(["new 1", "new 3"], at_us).lengths
    expect_equal(state.forget("new 3"), before[1], "an erasure does not say how many rows it removed")
    expect_equal(state.erased(["new 3", "new 1"]), [True, False], "who is erased")
    expect_equal(
        state.history(["new 1", "new 3"], at_us).lengths, [before[0], 0], "an erased user has a history, or another lost theirs"
    )
    expect_equal(state.append(_events([("new 3", items[2], now_us + 5, "back")])), [False], "an erased user is taken in again")
    expect_equal(state.history(["new 3"], at_us[:1]).lengths, [0], "an erased user has a history again")
    expect_equal(state.forget("new 3"), 0, "an erased user is erased again")


def _events(rows: Sequence[tuple[str, str, int, str]], *, received_us: int | None = None) -> pl.DataFrame:
    """(user, item, time, event id); received when they happened, if it is not said."""
    made = pl.DataFrame(list(rows), schema=["user_id", "item_id", "at", "event_id"], orient="row")
    received = pl.col("at") if received_us is None else pl.lit(received_us, pl.Int64)
    made = made.with_columns(received_at=received.cast(TIME), at=pl.col("at").cast(TIME), kind=pl.lit("view"))
    missing = [pl.lit(None, column.dtype).alias(column.name) for column in EVENTS.columns if column.name not in made.columns]
    return made.with_columns(missing).select(EVENTS.names)
