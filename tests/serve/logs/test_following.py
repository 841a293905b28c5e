"""A user is erased at one of several servers on one Redis, and leaves the files of all, also of one that was down."""

import logging
import shutil
import time
from contextlib import ExitStack

import polars as pl
import pytest
from fastapi.testclient import TestClient

from headrace.contracts.digests import digest
from headrace.contracts.serving import ServeConfig
from headrace.data.erased import by_digest
from headrace.data.forget import ERASED, erased_users
from headrace.serve.app import create_app
from headrace.serve.logs.forgetting import named
from headrace.serve.state.database import Database
from headrace.serve.state.redis_scripts import ERASED as IN_REDIS
from headrace.serve.state.redis_scripts import FOLLOWED
from tests.serve.redis_process import needs_redis
from tests.serve.test_app import bought
from tests.serve.test_users import names

pytestmark = needs_redis
WHO, PATIENCE_S = "somebody/who wants to be forgotten", 60
LEFT = "headrace_erasures_left 0.0"


class Server(TestClient):
    def __init__(self, run, settings):
        super().__init__(create_app(run, settings))
        self.served, self.store = run / "served", run / "store"


@pytest.fixture
def server(run, tmp_path, redis):
    """Starts one on a run of its own, or on the one it had; stopped by hand or at the end."""
    with ExitStack() as started:

        def start(name, **settings):
            folder = tmp_path / name
            if not folder.is_dir():
                shutil.copytree(run, folder, ignore=shutil.ignore_patterns("served"))
            config = {"state": "redis", "redis_url": redis.url, "rotate_s": 0.2, "unshown_share": 1.0, "runtime": "torch"}
            return started.enter_context(Server(folder, ServeConfig(**{**config, **settings})))

        yield start


def until(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def visit(client, user, *numbers):
    for number in numbers:
        asked = {"user_id": user, "request_id": f"{user} {number} {client.served.parent.name}".replace("/", " ")}
        assert client.post("/v1/recommend", json=asked).status_code == 200
        event = bought(user, f"p{number}", event_id=f"{user} {number} {client.served.parent.name}")
        assert client.post("/v1/events", json=event).json()["stored"] == 1


def tables(client, table):
    return pl.concat([pl.read_parquet(path) for path in sorted((client.served / table).glob("*/*.parquet"))])


def logged(client):
    return {path.parts[-3] for path in client.served.glob("*/*/*.parquet")}


def named_in(folder):
    return names(folder, WHO)


def leaves(client):
    return client.delete(f"/v1/users/{WHO}").json()


def test_one_call_reaches_all_also_who_was_down(server, caplog):
    caplog.set_level(logging.INFO, "headrace")
    down = server("down")
    until(lambda: down.app.state.serving.service.state.server.client.hlen(FOLLOWED) == 1)
    visit(down, WHO, 1, 2, 3)
    visit(down, "c2", 1, 2)
    down.__exit__()
    assert logged(down) >= {"events", "requests", "candidates"}
    one, other = server("one"), server("other")
    for client in (one, other):
        visit(client, WHO, 4, 5)
        visit(client, "c2", 3, 4)
    until(lambda: "requests" in logged(other) and "events" in logged(one) | logged(other))
    visit(other, WHO, 6)  # and some that waits to be written

    told = leaves(one)
    assert (told["removed"]["state"], told["in_build"]) == (8, False)
    assert told["elsewhere"] in (1, 2), "the other may have followed by then"
    until(lambda: leaves(one) == {"removed": {}, "in_build": False, "elsewhere": 1})
    assert not named_in(other.served.parent)
    assert erased_users(one.store / ERASED) == [WHO], "who asks may be answered for it"
    assert erased_users(other.store / ERASED) == [by_digest(digest(WHO))]
    until(lambda: LEFT in other.get("/metrics").text)

    again = server("down")
    until(lambda: leaves(one)["elsewhere"] == 0)
    assert not named_in(again.served.parent)
    assert erased_users(again.store / ERASED) == [by_digest(digest(WHO))]
    for client in (one, other, again):
        assert client.post("/v1/events", json=bought(WHO, "p9")).json() == {"stored": 0, "repeated": 0, "erased": 1}
    for client in (one, other, again):
        client.__exit__()
        requests = tables(client, "requests")
        assert set(requests["user_id"]) == {"c2"}
        assert set(tables(client, "candidates")["request_id"]) == set(requests["request_id"])
    events = pl.concat([tables(client, "events") for client in (one, other, again) if "events" in logged(client)])
    assert sorted(events["event_id"]) == sorted(
        f"c2 {n} {name}" for name, numbers in (("down", (1, 2)), ("one", (3, 4)), ("other", (3, 4))) for n in numbers
    )
    said = [record.getMessage() for record in caplog.records if record.name.startswith("headrace.")]
    assert sum("erased at another server" in one for one in said) == 2
    assert not any(WHO in one for one in said)


def test_broken_off_it_begins_anew(server, monkeypatch):
    one, other = server("one"), server("other", rotate_s=1000.0)
    service = other.app.state.serving.service
    until(lambda: service.state.server.client.hlen(FOLLOWED) == 2)
    visit(other, WHO, 1)
    service.event_log.write()
    service.impressions.close()
    assert named(other.served, {digest(WHO), digest("c3")}) == [WHO]
    assert leaves(one)["elsewhere"] == 1
    monkeypatch.setattr("headrace.serve.logs.following.forget_logged", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        service.shared.following.follow()
    assert leaves(one)["elsewhere"] == 1
    monkeypatch.undo()
    assert set(service.shared.following.follow()) >= {"requests", "candidates"}
    assert service.shared.following.follow() == {}
    assert leaves(one)["elsewhere"] == 0
    assert not named_in(other.served)


def test_a_redis_that_lost_its_erasures_is_told_of_them_again(server):
    one, other = server("one", rotate_s=1000.0), server("other")
    asked = one.app.state.serving.service.state.server.client
    until(lambda: asked.hlen(FOLLOWED) == 2)
    until(lambda: leaves(one)["elsewhere"] == 0)
    asked.delete(IN_REDIS, FOLLOWED)
    assert other.app.state.serving.service.state.erased([WHO])[0], "it is not forgotten meanwhile"
    until(lambda: asked.smembers(IN_REDIS) == {digest(WHO)})
    until(lambda: asked.hlen(FOLLOWED))
    assert one.app.state.serving.service.shared.following.follow() == {}
    assert leaves(one)["elsewhere"] == 0


def test_the_command_reaches_redis_while_a_server_runs(server):
    one, other = server("one"), server("other")
    visit(other, WHO, 1)
    Database.forget(one.app.state.serving.service.state, WHO)  # as another process does, beside it
    until(lambda: other.post("/v1/events", json=bought(WHO, "p9")).json()["erased"] == 1)
    until(lambda: leaves(other)["elsewhere"] == 0)
    assert not named_in(other.served)
