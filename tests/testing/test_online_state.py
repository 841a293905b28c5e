"""The suite finds the faults that it is there to find."""

import numpy as np
import pytest

from headrace.data.log import Log
from headrace.serve.state import LayeredState
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


class Unlocked(LayeredState):
    def receive(self, events):
        new = ~self.seen(events["event_id"].to_list())
        super().receive(events)
        return new


class Remembers(LayeredState):
    def erased(self, users):
        return np.zeros(len(users), np.bool_)


@pytest.mark.parametrize(
    ("kind", "says"),
    [(Twice, "new"), (Early, "strictly before"), (Unlocked, "exactly one is told"), (Remembers, "who is erased")],
)
def test_one_that_breaks_them_is_told_which(make, kind, says):
    with pytest.raises(AssertionError, match=says):
        check_online_state(make(kind), ITEMS)
