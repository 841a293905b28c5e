"""The online state over a real Redis: the same meaning, for several servers, also when Redis is killed."""

import shutil
import signal
import tempfile
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from headrace.contracts.errors import ConfigError
from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.app import create_app
from headrace.serve.logs.events import served_events
from headrace.serve.messages import Event
from headrace.serve.service import Service
from headrace.serve.state.layered import LayeredState
from headrace.serve.state.redis_server import RedisServer, Unavailable
from headrace.serve.state.redis_state import RedisState
from headrace.testing.online_state import check_online_state
from tests.data.tables import some_events, write_tables
from tests.serve.redis_process import RedisProcess, needs_redis
from tests.serve.state.test_layered import LAST_US, N_EVENTS, assert_same, row, split
from tests.serve.test_app import bought, items
from tests.serve.workers.started import until

pytestmark = needs_redis


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))


@pytest.fixture
def opened(redis, tables, tmp_path):
    """Opens a state in a folder of its own; each is closed at the end."""
    made = []

    def open_one(name, log=None, **settings):
        (tmp_path / name).mkdir(exist_ok=True)
        config = ServeConfig(state="redis", redis_url=redis.url, map_gb=0.1, **settings)
        state = RedisState(tmp_path / name, log or Log.from_tables(tables), "k", config)
        made.append(state)
        if state.stale:
            state.rebuild([])
        return state

    yield open_one
    for state in made:
        if state.views:
            state.close()


def test_contract(opened):
    state = opened("a")
    check_online_state(state, ["i3", "i4", "i5"])


@pytest.mark.parametrize("newest", [None, 1, 5])
def test_online_is_offline_as_of_the_same_moment(opened, tables, tmp_path, newest):
    whole, (early, later) = Log.from_tables(tables), split(tables, tmp_path, 15)
    state = opened("a", early)
    state.append(later.sample(fraction=1.0, shuffle=True, seed=0))
    users, moments = (axis.ravel() for axis in np.meshgrid(np.arange(1, 13, dtype=np.int32), np.arange(15, LAST_US + 2)))
    users, at_us = users.astype(np.int32), moments.astype(np.int64)
    names = [str(name) for name in whole.users.decode(users)]
    assert_same(state.history(names, at_us, newest), whole.store.as_of(users, at_us, newest))
    reads_all = opened("b", whole, writes_log=False)
    assert_same(reads_all.history(names, at_us, newest), whole.store.as_of(users, at_us, newest))
    assert not reads_all.append(later).any(), "the build has read these"


def test_servers_read_each_others_writes_and_take_an_event_once(opened):
    one, other = opened("a"), opened("b", writes_log=False)
    for number in range(30):
        writes, reads = (one, other) if number % 2 else (other, one)
        assert writes.receive(row("new", "i3", number, f"e{number}")).tolist() == [True]
        assert reads.receive(row("new", "i3", number, f"e{number}")).tolist() == [False]
        assert reads.history(["new"], np.array([reads.moments.asked()])).lengths.tolist() == [number + 1]
    assert other.forget("new") == 30
    assert one.erased(["new"]).tolist() == [True]
    assert one.erasures == other.erasures == 1
    assert len(one.pending()[0]) == 0, "what waited was theirs"


def test_what_was_read_during_commits_is_read_again_as_of_the_same_moment(opened):
    one, other = opened("a"), opened("b", writes_log=False)
    read, ended = [], threading.Event()

    def asks():
        while not ended.is_set():
            at_us = other.moments.asked()
            read.append((at_us, int(other.history(["new"], np.array([at_us])).lengths[0])))

    asking = threading.Thread(target=asks)
    asking.start()
    for number in range(2000):
        one.receive(row("new", "i3", number, f"e{number}"))
        if number >= 40 and len({length for _, length in list(read)}) > 10:
            break
    ended.set()
    asking.join()
    assert [int(one.history(["new"], np.array([at_us])).lengths[0]) for at_us, _ in read] == [length for _, length in read]
    assert len({length for _, length in read}) > 10


def test_an_empty_redis_is_filled_from_the_files(opened, redis, tables):
    state = opened("a")
    state.receive(row("new", "i3", 5, "e0"))
    numbers, kept = state.pending()
    ms = int.from_bytes(numbers[-1], "big") + (3600_000 << 20)
    state.written([ms.to_bytes(8, "big")])  # as by a clock that was an hour ahead
    before = state.history(["new"], np.array([2**62]))
    state.server.client.flushall()
    state.close()
    again = opened("a")
    again.rebuild([kept])
    assert_same(again.history(["new"], np.array([2**62])), before)
    assert again.seen(["e0"]).tolist() == [True]
    again.receive(row("new", "i3", 6, "e1"))
    assert again.pending()[1]["event_id"].to_list() == ["e1"], "its number is later than those of the Redis before"
    again.written(again.pending()[0])
    assert not again.pending()[0]


def test_files_fill_it_in_steps_that_nobody_waits_long_for(opened, monkeypatch):
    monkeypatch.setattr("headrace.serve.state.redis_state._MANY", 100)
    state, steps, sent = opened("a"), [], RedisState._sent

    def counted(self, some, **how):
        steps.append(len(some))
        return sent(self, some, **how)

    monkeypatch.setattr(RedisState, "_sent", counted)
    state.rebuild([pl.concat([row("new", "i3", number, f"e{number}") for number in range(250)])])
    assert steps == [100, 100, 50]
    assert state.history(["new"], np.array([2**62])).lengths.tolist() == [250]


def test_a_killed_redis_loses_nothing_it_acknowledged_and_is_found_again(opened, redis):
    state, kept, refused = opened("a"), [], []
    stop = threading.Event()

    def sends(who):
        number = 0
        while not stop.is_set():
            try:
                state.receive(row(who, "i3", number, f"{who} {number}"))
                kept.append(f"{who} {number}")
            except Unavailable:
                refused.append(who)
                stop.wait(0.005)
            number += 1

    senders = [threading.Thread(target=sends, args=(who,)) for who in ("new", "newer")]
    for one in senders:
        one.start()
    try:
        until(lambda: len(kept) >= 50)
        redis.kill()
        until(lambda: len(refused) >= 10)
        at_fall = len(kept)
        redis.start()
        until(lambda: len(kept) >= at_fall + 50)
    finally:
        stop.set()
        for one in senders:
            one.join()
    assert state.seen(kept).all()
    assert set(kept) <= set(state.pending()[1]["event_id"].to_list())


def test_pages_go_on_without_redis_flagged_and_events_wait_for_it(own_run, redis):
    settings = ServeConfig(state="redis", redis_url=redis.url, unshown_share=1.0)
    with TestClient(create_app(own_run, settings)) as client:
        ask = {"user_id": "c1", "request_id": "before"}
        assert client.post("/v1/events", json=bought("c1", "p3", event_id="e1")).json()["stored"] == 1
        assert client.post("/v1/recommend", json=ask).json()["degraded"] == []
        redis.kill()
        page = client.post("/v1/recommend", json={**ask, "request_id": "meanwhile"})
        assert page.status_code == 200
        assert page.json()["degraded"] == ["history", "items"]
        assert len(items(page.json())) == 4
        assert 'headrace_degraded_total{stage="history"} 1.0' in client.get("/metrics").text
        assert client.get("/readyz").status_code == 200, "it is every server that can't reach Redis"
        sent = client.post("/v1/events", json=bought("c1", "p5", event_id="e2"))
        assert (sent.status_code, sent.json()["error"]["field"]) == (503, "server")
        assert sent.headers["Retry-After"] == "1"
        assert client.delete("/v1/users/c1").status_code == 503
        redis.start()
        until(lambda: client.post("/v1/events", json=bought("c1", "p4", event_id="e3")).status_code == 200)
        assert client.post("/v1/events", json=bought("c1", "p5", event_id="e2")).json()["stored"] == 1
        after = client.post("/v1/recommend", json={**ask, "request_id": "after"}).json()
        assert after["degraded"] == []
        told = client.get("/v1/explain/meanwhile").json()
        assert told["worked_out_again"] is True, "worked out again from what was read then"


def test_two_services_on_one_redis(pipeline, tmp_path, redis):
    shared = ServeConfig(state="redis", redis_url=redis.url, rotate_s=1000.0)
    one = Service(pipeline, tmp_path / "one", shared)
    other = Service(pipeline, tmp_path / "other", ServeConfig(**{**vars(shared), "writes_log": False}))
    sent = [Event(**bought("somebody", f"p{number}", event_id=f"e{number}")) for number in range(3)]
    assert other.receive(sent).stored == 3
    assert one.receive(sent).repeated == 3
    for service, request_id in ((one, "r-1"), (other, "r-2")):
        walked = service.recommend("somebody", request_id).walked
        assert walked is not None
        assert walked.requests.history.lengths.tolist() == [3]
    again = other.recommend("somebody", "r-1")
    assert again.again
    kept = one.remembered("r-1")
    assert kept is not None
    assert again.page == kept.page
    other.close()
    one.close()
    assert sorted(pl.concat(list(served_events(tmp_path / "one")))["event_id"]) == ["e0", "e1", "e2"]
    assert not list(served_events(tmp_path / "other"))


def test_a_password_comes_from_a_file_and_is_not_told(tables, tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="redis"))
    redis = RedisProcess(folder, "--requirepass", "hidden words")
    try:
        secret = tmp_path / "password"
        secret.write_text("hidden words\n")
        with pytest.raises(ConfigError, match="Authentication|NOAUTH|auth") as told:
            RedisState(tmp_path, Log.from_tables(tables), "k", ServeConfig(redis_url=redis.url))
        secret_url = "redis://:hidden@localhost/0"
        with pytest.raises(ConfigError, match="HEADRACE_REDIS_PASSWORD") as refused:
            RedisState(tmp_path, Log.from_tables(tables), "k", ServeConfig(redis_url=secret_url))
        assert "hidden" not in f"{told.value} {refused.value}"
        settings = ServeConfig(redis_url=redis.url, redis_password_file=str(secret))
        RedisState(tmp_path, Log.from_tables(tables), "k", settings).close()
    finally:
        redis.stop()
        shutil.rmtree(folder)


def test_a_redis_that_throws_rows_away_is_refused(opened, redis, tables, tmp_path):
    client = opened("a").server.client
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigError, match="noeviction"):
        opened("b", writes_log=False)


def test_a_redis_that_hangs_costs_one_wait(opened, redis, monkeypatch):
    state = opened("a")
    pool, waits, falls = state.server.client.connection_pool, list[float](), RedisServer._falls
    pool.connection_kwargs["socket_timeout"] = 0.2
    pool.disconnect()
    pool.reset()

    def counted(self, error, rest_s):
        waits.append(rest_s)
        falls(self, error, rest_s)

    monkeypatch.setattr(RedisServer, "_falls", counted)
    redis.process.send_signal(signal.SIGSTOP)
    for _ in range(20):
        with pytest.raises(Unavailable):
            state.history(["new"], np.array([2**62]))
    assert min(waits) >= 5 * 0.2, "it is left alone for five times as long as it was waited for"
    assert len(waits) < 10, "one of twenty waits; more only where this process stood still for as long as it leaves it alone"
    redis.process.send_signal(signal.SIGCONT)


def test_rows_that_wait_in_the_embedded_state_are_not_left_behind(opened, tables, tmp_path):
    (tmp_path / "a").mkdir()
    before = LayeredState(tmp_path / "a", Log.from_tables(tables), "k", map_gb=0.1)
    before.append(row("new", "i3", 5, "e0"))
    before.close()
    with pytest.raises(ConfigError, match="wait for a file"):
        opened("a")


def test_a_page_takes_four_round_trips(own_run, redis, monkeypatch):
    with TestClient(create_app(own_run, ServeConfig(state="redis", redis_url=redis.url))) as client:
        client.post("/v1/events", json=bought("c1", "p3", event_id="e1"))
        client.post("/v1/recommend", json={"user_id": "c1"})
        asked, ask = [], RedisServer.ask

        def counted(self, work):
            if threading.current_thread().name != "event log":
                asked.append(work.__qualname__)
            return ask(self, work)

        monkeypatch.setattr(RedisServer, "ask", counted)
        page = client.post("/v1/recommend", json={"user_id": "c1", "request_id": "r"}).json()
        assert len(asked) == 4, "\n".join(asked)
        asked.clear()
        assert client.post("/v1/recommend", json={"user_id": "c1", "request_id": "r"}).json()["items"] == page["items"]
        assert len(asked) == 1, "\n".join(asked)
