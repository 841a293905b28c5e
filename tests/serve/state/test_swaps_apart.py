"""Processes that swap builds at different times over one upper layer: each has the histories of the whole log all along."""

import numpy as np
import polars as pl
import pytest

from headrace.data.log import Log
from tests.data.tables import some_events, write_tables
from tests.serve.state.processes import supervised
from tests.serve.state.test_layered import LAST_US, N_EVENTS, assert_same, events_of, split

CUTS = (10, 25)


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))


@pytest.fixture
def builds(tables, tmp_path):
    """Of the log as of two moments."""
    for cut in CUTS:
        split(tables, tmp_path, cut)
    return [(str(number), tmp_path / f"early-{cut}") for number, cut in enumerate(CUTS)]


@pytest.fixture
def later(tables):
    """What came in since the first of them, in the order in which it came."""
    return events_of(tables).filter(pl.col("at").dt.timestamp("us") >= CUTS[0])


@pytest.fixture
def run(tmp_path):
    with supervised(tmp_path / "state") as made:
        yield made


@pytest.fixture
def knows_all(tables):
    whole = Log.from_tables(tables)
    moments = np.arange(CUTS[-1], LAST_US + 2)
    users, at_us = np.repeat(np.arange(1, 13, dtype=np.int32), len(moments)), np.tile(moments, 12)
    names = [str(name) for name in whole.users.decode(users)]

    def check(process):
        for newest in (None, 5):
            assert_same(process("state", "history", names, at_us, newest), whole.store.as_of(users, at_us, newest))

    return check


def started(start, builds, later):
    """Two on the first build, which took in all that came later, each some of it; and what is in files of it."""
    one = start(builds[0])
    one("rebuild", [])
    other = start(builds[0])
    one("state", "append", later.head(100))
    other("state", "append", later.slice(100))
    keys, served = one("state", "pending")
    one("state", "written", keys)
    return one, other, served


def test_nothing_is_taken_out_before_the_last_has_closed_its_old_build(run, builds, later, knows_all):
    _, start = run
    one, other, served = started(start, builds, later.head(150))
    assert one("beside", builds[1]), "there may be what neither has"
    one("rebuild", [served])
    other("state", "append", later.slice(150, 40))
    one("state", "append", later.slice(190))
    assert not one("state", "append", later).any()
    for process in (one, other):
        knows_all(process)
    one("close", "0")
    assert one("rows_above") == len(later)
    for process in (one, other):
        knows_all(process)
    assert not other("beside", builds[1]), "another made it whole"
    knows_all(other)
    other("close", "0")
    for process in (one, other):
        knows_all(process)
        assert not process("state", "append", later).any()
    assert one("rows_above") == (later["at"].dt.timestamp("us") >= CUTS[1]).sum()


@pytest.mark.parametrize("on", [0, 1])
def test_one_that_is_started_again_in_the_middle_of_a_swap_takes_nothing_from_the_other(run, builds, later, knows_all, on):
    """After one swapped alone, either is killed, and started again on either build."""
    database, start = run
    one, other, served = started(start, builds, later)
    one("beside", builds[1])
    one("rebuild", [served])
    one("close", "0")
    victim, survivor = (one, other) if on else (other, one)
    victim.kill()
    database.forget_process(victim.pid)
    for build in builds:
        again = start(build)
        if again.stale:
            again("rebuild", [served.head(80), served.slice(80)])
        for process in (again, survivor):
            knows_all(process)
            assert not process("state", "append", later).any()
        again.kill()  # and nobody says so


def test_all_are_killed_and_the_supervisor_too(tmp_path, builds, later, knows_all):
    folder = tmp_path / "state"
    with supervised(folder) as (_, start):
        one, other, served = started(start, builds, later)
        one("beside", builds[1])
        one("rebuild", [served])
        other.kill()
        one.kill()
    for number, stale in ((1, False), (0, True)):  # both were whole, until the first was started without the other
        with supervised(folder) as (_, start):
            again = start(builds[number])
            assert again.stale is stale
            if stale:
                again("rebuild", [served])
            knows_all(again)
