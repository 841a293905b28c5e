"""The online state of several processes: what one took in, the others have, once and in one order, whoever is killed."""

import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.data.log import Log
from headrace.serve.state.database import Database
from headrace.testing.online_state import check_online_state
from tests.data.tables import some_events, write_tables
from tests.serve.state.processes import InTurns, supervised
from tests.serve.state.test_layered import LAST_US, N_EVENTS, row


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    return "k", write_tables(folder / "tables", some_events(n=N_EVENTS, last_us=LAST_US))


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory):
    with supervised(tmp_path_factory.mktemp("run") / "state") as made:
        yield made


@pytest.fixture(scope="module")
def database(supervisor):
    return supervisor[0]


@pytest.fixture(scope="module")
def start(supervisor):
    return supervisor[1]


@pytest.fixture(scope="module")
def pair(start, build):
    """The first one made the state whole, so the second has nothing to do."""
    first = start(build)
    assert first.stale
    first("rebuild", [])
    second = start(build)
    assert not second.stale
    return first, second


def test_contract_whichever_process_is_asked(pair):
    check_online_state(InTurns(pair), ["i3", "i4", "i5"])


def test_the_run_is_held_for_all_of_them(pair, database, tmp_path_factory):
    with pytest.raises(ConfigError, match="One server a run"):
        Database(database._place.parent, 0.1, sole=True)


def test_each_reads_what_another_was_told(pair):
    for number in range(20):
        writes, reads = pair if number % 2 else pair[::-1]
        one = row("read", "i3", number, f"read {number}")
        assert writes("state", "receive", one).tolist() == [True]
        assert reads("length", "read") == number + 1
        assert reads("state", "receive", one).tolist() == [False]


def test_an_event_sent_to_two_at_once_is_kept_once(pair):
    sent = [row("twice", "i3", number, f"twice {number}") for number in range(25)]
    told = []
    for event in sent:
        for process in pair:
            process.tell("state", "receive", event)
        told.append([process.hear()[0] for process in pair])
    assert np.sum(told, 1).tolist() == [1] * len(sent)
    assert [process("length", "twice") for process in pair] == [len(sent)] * 2


def test_what_was_read_is_read_again_as_of_the_same_moment_in_any_of_them(pair):
    """While both commit and ask: one order of moments."""
    for number, process in enumerate(pair):
        process.tell("busy", f"busy {number}", 60)
    read = []
    for process in pair:
        mine, wrong = process.hear()
        assert not wrong
        read.extend(mine)
    moments = [at_us for at_us, _ in sorted(read)]
    lengths = [length for _, length in sorted(read)]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 10
    for process in pair:
        again = process("state", "history", ["busy"] * len(moments), np.array(moments))
        assert again.lengths.tolist() == lengths


def test_both_count_all_that_came_to_either(pair, build):
    users, log = [f"u{n}" for n in range(12)] + ["counted"], Log.from_tables(build[1])
    before = pair[0]("count", users, 10**9)
    for number in range(30):
        user = users[number % len(users)]
        pair[number % 3 // 2]("state", "append", row(user, f"i{number % 5}", 50 + number, f"counted {number}"))
        if number % 7 == 0:
            assert pair[0]("count", users, 10**9) == pair[1]("count", users, 10**9)
    found = [process("count", users, 10**9) for process in pair]
    assert found[0] == found[1]
    of_users, of_items = (np.subtract(now, then) for now, then in zip(found[0], before, strict=True))
    assert of_users.tolist() == [3] * 4 + [2] * 9
    assert of_items[log.items.encode([f"i{n}" for n in range(5)]) - 1].tolist() == [6] * 5


def test_who_is_erased_in_one_is_nobody_in_the_others(pair):
    one, other = pair
    other("state", "append", row("u1", "i3", 60, "of u1"))
    other("state", "append", row("gone", "i3", 61, "of gone"))
    assert other("count", ["gone"], 10**9)[0] == [1]
    assert one("state", "forget", "gone") == 1
    one("state", "forget", "u1")
    assert [other("length", user) for user in ("u1", "gone")] == [0, 0]
    assert other("state", "numbers", ["u1"]).tolist() == [0]
    assert not other("state", "receive", row("gone", "i3", 62, "back")).any()
    assert other("count", ["u1", "gone"], 10**9)[0] == [0, 0]
    assert {"u1", "gone"}.isdisjoint(other("state", "pending")[1]["user_id"])


def test_erasures_in_two_at_once_leave_every_row_that_waits_readable(pair):
    for number in range(8):
        pair[0]("state", "receive", row(f"waits {number}", "i3", number, f"waits {number}"))
    for number in range(4):
        for place, process in enumerate(pair):
            process.tell("state", "forget", f"waits {2 * number + place}")
        assert [process.hear() for process in pair] == [1, 1]
    for process in pair:
        process("state", "receive", row("stays", "i3", process.pid, f"stays {process.pid}"))
        waiting = process("state", "pending")[1]
        assert not waiting["user_id"].str.starts_with("waits").any()
    assert (pair[0]("state", "pending")[1]["user_id"] == "stays").sum() == 2


def test_who_is_killed_in_commits_loses_nothing_acknowledged_and_holds_nobody_up(pair, start, build, database):
    survivor, kept = pair[0], []
    for who, events in (("first", 20), ("second", 47)):
        victim = start(build)
        victim.tell("flood", who)
        kept += [victim.hear() for _ in range(events)]
        victim.kill()
        while victim.connection.poll():  # what it said before it died
            try:
                kept.append(victim.connection.recv())
            except EOFError:
                break
        before = survivor("asked", 1)[0]
        assert survivor("state", "receive", row("after", "i3", events, f"after {who}")).tolist() == [True]
        assert survivor("asked", 1)[0] > before
        database.forget_process(victim.pid)
    assert survivor("length", "after") == 2
    assert survivor("state", "seen", kept).all()
    assert set(kept) <= set(survivor("state", "pending")[1]["event_id"])
    with database.reading() as reading:
        assert reading.stat(database.tables["open"])["entries"] == 2
