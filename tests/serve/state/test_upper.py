"""Rows above the logs: read back by whole steps, further where some do not count, and followed in the order they came in."""

import numpy as np
import pytest

from headrace.serve.state.database import Database, digest
from headrace.serve.state.upper import UpperLayer, pair_of


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path, 0.1, sole=True)
    yield made
    made.close()


def put(database, user, times, *, received_us=0, told=True):
    upper = UpperLayer(database.tables)
    with database.writing() as writing:
        for number, at in enumerate(times):
            event = {
                "user_id": user,
                "event_id": f"{user} {at} {number}",
                "item_id": f"i{at}",
                "at": at,
                "received_at": received_us,
            }
            upper.put(writing, pair_of(event, number), told=told)
    return upper


def asked(database, upper, users, most, counts=lambda item: True):
    """Times that were read, by user; and how many rows were looked at in each turn."""
    turns = []

    def items_of(rows):
        turns.append(len(rows.items))
        return [int(item[1:]) + 1000 if counts(int(item[1:])) else 0 for item in rows.items]

    with database.reading() as reading:
        found = upper.newest(reading, [(user, 50) for user in users], most, items_of)
    assert all(item == at + 1000 for one in found for item, at in one)
    return [[at for _, at in one] for one in found], turns


def test_a_step_is_read_whole(database):
    upper = put(database, "ann", [5, 7, 7, 7, 9, 50, 51])
    assert asked(database, upper, ["ann"], 2) == ([[9, 7, 7, 7]], [4])
    assert asked(database, upper, ["ann"], 1) == ([[9]], [1])
    assert asked(database, upper, ["ann"], None) == ([[9, 7, 7, 7, 5]], [5])


def test_it_is_read_on_where_too_few_count(database):
    put(database, "ann", range(20))
    upper = put(database, "bob", [1, 2, 3])
    found, turns = asked(database, upper, ["bob", "ann", "nobody"], 3, counts=lambda at: at in (0, 1, 3, 18))
    assert found == [[3, 1], [18, 3, 1], []]
    assert turns[:2] == [6, 2], "of the first one there are no more"
    assert sum(turns) == 22


def test_nothing_is_looked_at_where_nothing_is_above(database):
    upper = put(database, "ann", [60])
    assert asked(database, upper, ["nobody", "ann"], 3) == ([[], []], [])


def test_what_was_received_later_is_not_read(database):
    upper = put(database, "ann", [5, 6], received_us=50)
    put(database, "ann", [4], received_us=49)
    assert asked(database, upper, ["ann"], 1)[0] == [[4]]


def test_times_before_1970_come_first(database):
    upper = put(database, "ann", [3, -4, 2, -5])
    assert asked(database, upper, ["ann"], None)[0] == [[3, 2, -4, -5]]


def test_arrivals_are_told_once_and_in_order(database):
    upper = put(database, "ann", [3, 1])
    put(database, "bob", [9], told=False)
    put(database, "ann", [3, 1])
    with database.reading() as reading:
        assert upper.arrived(reading) == 2
        (rows,) = upper.since(reading, 0)
        assert rows.at_us == [3, 1]
        assert upper.since(reading, 1)[0].items == [b"i1"]
        assert upper.since(reading, 2)[0].keys == []
        assert sum(len(lot.keys) for lot in upper.all(reading)) == 3


def test_of_an_erased_user_no_arrival_is_left(database):
    upper = put(database, "ann", [3, 1])
    put(database, "bob", [2])
    database.forget("ann")
    with database.reading() as reading:
        assert upper.since(reading, 0)[0].at_us == [2]
        keys = [key for _, key in reading.cursor(database.tables["arrived"])]
    assert [key.startswith(digest("bob")) for key in keys] == [True]


def test_hashes_are_as_they_were(database):
    upper = put(database, "ann", [1])
    with database.writing() as writing:
        event = {"user_id": "ann", "event_id": "large", "item_id": "i2", "at": 2, "received_at": -7}
        upper.put(writing, pair_of(event, 2**64 - 1), told=True)
    with database.reading() as reading:
        rows = next(upper.all(reading))
    np.testing.assert_array_equal(rows.hashes, np.array([0, 2**64 - 1], np.uint64))
    assert rows.received_us == [0, -7]
