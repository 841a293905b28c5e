"""Who writes the event log: one server at a time, and each row into one file, whoever dies, sleeps or hears no answer."""

import shutil
from pathlib import Path

import pytest

from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.logs.events import EventLog, served_events
from headrace.serve.state.redis_scripts import LEASE, PENDING
from headrace.serve.state.redis_server import Unavailable
from headrace.serve.state.redis_state import RedisState
from tests.data.tables import some_events, write_tables
from tests.serve.redis_process import needs_redis
from tests.serve.state.test_layered import LAST_US, N_EVENTS, row

pytestmark = needs_redis


class Server:
    """A state and its event log, which writes when it is told to."""

    def __init__(self, folder: Path, log: Log, settings: ServeConfig):
        (folder / "state").mkdir(parents=True, exist_ok=True)
        self.root, self.state = folder, RedisState(folder / "state", log, "k", settings)
        if self.state.stale:
            self.state.rebuild(served_events(folder))
        self.log = EventLog(folder, self.state, sync_s=1000.0, rotate_s=1000.0)

    def receives(self, *names):
        for name in names:
            self.state.receive(row("new", "i3", 5, name))

    @property
    def written(self):
        return [name for events in served_events(self.root) for name in events["event_id"]]

    @property
    def nameless(self):
        return list(self.root.glob("events/*/.*.parquet.new"))

    def dies(self):
        """As by kill -9: nothing is let go of, and the lock of its folder is the kernel's to give."""
        self.log._stop.set()
        self.state.server.client.connection_pool.disconnect()
        self.state._env.close()
        self.state._lock.close()


@pytest.fixture
def started(redis, tmp_path):
    tables = write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))
    made = []

    def start(name, **settings):
        config = ServeConfig(state="redis", redis_url=redis.url, map_gb=0.1, **settings)
        made.append(Server(tmp_path / name, Log.from_tables(tables), config))
        return made[-1]

    yield start
    for one in made:
        if one.state.views and not one.log._stop.is_set():
            one.log.close()
            one.state.close()


def lease_ends(server):
    server.state.server.client.pexpire(LEASE, 1)
    while server.state.server.client.exists(LEASE):
        pass


def test_the_others_stand_by_until_the_writer_lets_go(started):
    one, other, never = started("one"), started("other"), started("never", writes_log=False)
    never.receives("a", "b")
    assert one.log.write() == 2
    other.receives("c")
    assert other.log.write() == never.log.write() == 0
    one.log.close()
    one.state.close()
    assert one.written == ["a", "b", "c"], "who stops writes what waits"
    never.receives("d")
    assert other.log.write() == 1
    assert other.written == ["d"]
    other.log.close()
    other.state.close()
    never.receives("e")
    assert never.log.write() == 0
    assert never.state.rows.count() == 1, "it waits for a server that writes"


def test_a_server_that_is_started_again_has_its_lease_at_once_and_a_copy_has_not(started, tmp_path):
    one = started("one")
    one.receives("a")
    assert one.log.write() == 1
    one.dies()
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    copy = started("copy")
    copy.receives("b")
    assert copy.log.write() == 0, "the lease is another folder's for a while"
    again = started("one")
    assert again.log.write() == 1
    assert again.written == ["a", "b"]


def test_killed_before_its_rows_left_it_throws_the_file_away_and_another_writes_them(started, monkeypatch):
    one, other = started("one"), started("other")
    one.receives("a", "b")
    with monkeypatch.context() as killed:
        killed.setattr(one.state.rows, "leave", lambda keys: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            one.log.write()
    assert (len(one.nameless), one.written) == (1, [])
    one.dies()
    lease_ends(other)
    assert other.log.write() == 2
    again = started("one")
    assert again.log.write() == 0
    assert (again.nameless, again.written, other.written) == ([], [], ["a", "b"])


def test_killed_when_its_rows_had_left_it_names_the_file_without_who_was_erased_since(started, monkeypatch):
    one, other = started("one"), started("other")
    one.receives("a", "b")
    one.state.receive(row("another", "i3", 5, "theirs"))
    with monkeypatch.context() as killed:
        killed.setattr("headrace.serve.logs.files._name", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            one.log.write()
    one.dies()
    lease_ends(other)
    assert other.log.write() == 0, "they are in a file that is on disk"
    other.state.forget("another")
    again = started("one")
    again.log.write()
    assert (again.nameless, again.written, other.written) == ([], ["a", "b"], [])


def test_a_writer_that_slept_beyond_its_lease_lets_go_of_nothing(started, monkeypatch):
    one, other = started("one"), started("other")
    one.receives("a", "b")
    leave, slept = one.state.rows.leave, list[object]()

    def sleeps(keys):
        if not slept:
            lease_ends(other)
            other.receives("c")
            slept.append(other.log.write())
        return leave(keys)

    monkeypatch.setattr(one.state.rows, "leave", sleeps)
    assert one.log.write() == 0
    assert slept == [3]
    assert (one.nameless, one.written, other.written) == ([], [], ["a", "b", "c"])
    other.receives("d")
    assert one.log.write() == 0, "the other has the lease"
    lease_ends(one)
    assert one.log.write() == 1, "which is its own again when it is free"


@pytest.mark.parametrize("reached", [True, False])
def test_where_the_answer_was_lost_redis_is_asked_what_came_of_it(started, monkeypatch, reached):
    one = started("one")
    one.receives("a")
    server = one.state.server

    class Cut:
        def ask(self, work):
            leaves = "leave" in work.__qualname__
            found = server.ask(work) if reached or not leaves else None
            if leaves:
                raise Unavailable("Redis does not answer.")
            return found

    with monkeypatch.context() as cut:
        cut.setattr(one.state.rows, "server", Cut())
        with pytest.raises(Unavailable):
            one.log.write()
    assert (len(one.nameless), one.written) == (1, [])
    one.receives("b")
    assert one.log.write() == (1 if reached else 2)
    assert one.nameless == []
    assert one.written == ["a", "b"]


def test_who_is_erased_while_a_file_is_written_is_in_no_file(started, monkeypatch):
    one, other = started("one"), started("other")
    one.receives("a")
    one.state.receive(row("another", "i3", 5, "theirs"))
    leave, erased = one.state.rows.leave, list[object]()

    def erases(keys):
        if not erased:
            erased.append(other.state.forget("another"))
        return leave(keys)

    monkeypatch.setattr(one.state.rows, "leave", erases)
    assert one.log.write() == 1
    assert (erased, one.written) == ([1], ["a"])


def test_rows_that_a_redis_brings_back_are_not_written_again(started):
    """One that keeps its writes for the disk a second, and lost it."""
    one = started("one")
    one.receives("a", "b")
    client = one.state.server.client
    before = client.xrange(PENDING)
    assert one.log.write() == 2
    client.delete(PENDING)
    for name, fields in before:
        client.xadd(PENDING, fields, id=name)
    assert one.log.write() == 0
    one.receives("c")
    one.log.write()
    assert one.written == ["a", "b", "c"]


def test_who_writes_and_how_many_rows_wait_is_told(started):
    one, other = started("one"), started("other")
    one.receives("a")
    assert one.state.rows_told() == (False, 1), "nobody has written yet"
    one.log.write()
    other.receives("b")
    other.log.write()
    assert (one.state.rows_told(), other.state.rows_told()) == ((True, 1), (False, 1))
