"""The suite finds the faults that it is there to find."""

import threading

import numpy as np
import pytest

from headrace.data.log import Log
from headrace.serve.state.layered import LayeredState
from headrace.testing.online_state import check_online_state
from tests.data.tables import some_events, write_tables

ITEMS = ["i1", "i2", "i3"]


@pytest.fixture
def make(tmp_path):
    """States of a kind, closed at the end."""
    log, made = Log.from_tables(write_tables(tmp_path / "tables", some_events())), []

    def one(kind):
        (tmp_path / kind.__name__).mkdir()
        made.append(kind(tmp_path / kind.__name__, log, "k", map_gb=0.1))
        return made[-1]

    yield one
    for state in made:
        state.close()


def test_the_embedded_state_keeps_its_promises(make):
    check_online_state(make(LayeredState), ITEMS)


class Twice(LayeredState):
    def append(self, events):
        return super().append(events) | True


class Early(LayeredState):
    def history(self, users, at_us, newest=None):
        return super().history(users, at_us + 1000, newest)


class EachToItself(LayeredState):
    """Every caller is told of what they sent themselves alone."""

    mine = threading.local()

    def receive(self, events):
        super().receive(events)
        sent = self.mine.__dict__.setdefault("sent", set())
        new = [one not in sent for one in events["event_id"].to_list()]
        sent.update(events["event_id"].to_list())
        return np.array(new)


class Remembers(LayeredState):
    def erased(self, users):
        return np.zeros(len(users), np.bool_)


@pytest.mark.parametrize(
    ("kind", "says"),
    [(Twice, "new"), (Early, "strictly before"), (EachToItself, "exactly one is told"), (Remembers, "who is erased")],
)
def test_one_that_breaks_them_is_told_which(make, kind, says):
    with pytest.raises(AssertionError, match=says):
        check_online_state(make(kind), ITEMS)
