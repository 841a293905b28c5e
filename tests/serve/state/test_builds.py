"""Which builds are open and whole: kept in the database, whatever becomes of the processes."""

import os

import numpy as np
import pytest

from headrace.serve.state.builds import Builds
from headrace.serve.state.database import Database
from headrace.serve.state.whole import ROW, keys_open, keys_whole, put_whole


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path, 0.1, sole=True)
    yield made
    made.close()


@pytest.fixture
def builds(database, tmp_path):
    for key, hashes in {"a": [1, 2], "b": [2, 3], "c": [3]}.items():
        np.save(tmp_path / f"known-{key}.npy", np.array(hashes, np.uint64))
    return Builds(database, tmp_path)


def state_of(database):
    with database.reading() as reading:
        return keys_open(reading, database.tables), keys_whole(reading, database.tables)


def elsewhere(database, process, key):
    """As another process would."""
    with database.writing() as writing:
        writing.put(ROW.pack(process, 0), key.encode(), db=database.tables["open"])


def rows_above(database):
    with database.reading() as reading:
        return reading.stat(database.tables["newer"])["entries"]


def put(database):
    with database.writing() as writing:
        writing.put(b"some row", b"", db=database.tables["newer"])


def test_a_build_is_whole_until_it_is_closed_everywhere_while_others_are_open(builds, database):
    row, whole = builds.opened("a")
    assert not whole
    builds.made_whole("a")
    other, whole = builds.opened("a")
    assert whole
    elsewhere(database, 77, "b")
    assert not builds.closed(other, "a")
    assert state_of(database) == (["b", "a"] if os.getpid() > 77 else ["a", "b"], {"a"})
    assert builds.closed(row, "a"), "nobody needs what only it lacked"
    assert state_of(database) == (["b"], set())


def test_those_that_were_open_last_stay_whole(builds, database):
    row, _ = builds.opened("a")
    builds.made_whole("a")
    assert not builds.closed(row, "a")
    assert state_of(database) == ([], {"a"})
    builds.opened("a")
    elsewhere(database, 77, "b")
    builds.made_whole("b")
    for process in (77, os.getpid()):
        database.forget_process(process)
    assert state_of(database) == ([], {"a"}), "one after the other"
    assert builds.opened("a")[1]


def test_a_server_that_was_killed_left_nothing_open(tmp_path):
    database = Database(tmp_path, 0.1, sole=True)
    elsewhere(database, 77, "a")
    elsewhere(database, 78, "b")
    with database.writing() as writing:
        put_whole(writing, database.tables, {"a", "b"})
    database.close()
    again = Database(tmp_path, 0.1, sole=True)
    assert state_of(again) == ([], {"a", "b"}), "nothing came in since that they lack"
    again.close()


def test_alone_and_not_whole_it_has_nothing_of_use_above_it(builds, database):
    builds.made_whole("one that was closed")
    put(database)
    elsewhere(database, 77, "b")
    row, _ = builds.opened("a")
    assert rows_above(database) == 1, "another may need it"
    builds.closed(row, "a")
    database.forget_process(77)
    builds.opened("a")
    assert rows_above(database) == 0


def test_rows_of_another_version_are_made_anew(builds, database):
    with database.writing() as writing:
        writing.put(b"tables", b"1 a", db=database.tables["facts"])
    put(database)
    elsewhere(database, 77, "a")
    assert not builds.opened("a")[1]
    assert rows_above(database) == 0


def test_what_all_hold_is_judged_over_all_processes(builds, database):
    hashes = np.array([1, 2, 3], np.uint64)
    with database.reading() as reading:
        assert not builds.all_hold(reading, hashes).any(), "where nothing is open nothing is held"
        assert builds.all_whole_hold(reading, hashes).all(), "where nothing is whole all has to be put back"
    builds.opened("a")
    builds.made_whole("a")
    elsewhere(database, 77, "b")
    with database.reading() as reading:
        assert builds.all_hold(reading, hashes).tolist() == [False, True, False]
        assert builds.all_whole_hold(reading, hashes).tolist() == [True, True, False]
    database.forget_process(77)
    with database.reading() as reading:
        assert builds.all_hold(reading, hashes).tolist() == [True, True, False]
