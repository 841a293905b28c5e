"""The connection to a real Redis of each kind: full, a replica, with users who may little, with TLS, demoted meanwhile."""

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from headrace.contracts.errors import ConfigError
from headrace.contracts.serving import ServeConfig
from headrace.data.log import Log
from headrace.serve.state.redis_server import PASSWORD, RedisServer, Unavailable
from headrace.serve.state.redis_state import RedisState
from tests.data.tables import some_events, write_tables
from tests.ports import free_port
from tests.serve.redis_process import RedisProcess, needs_redis
from tests.serve.state.test_layered import LAST_US, N_EVENTS, row
from tests.serve.workers.started import until

pytestmark = needs_redis


@contextmanager
def another(*more):
    folder = Path(tempfile.mkdtemp(prefix="redis"))
    process = RedisProcess(folder, *more)
    try:
        yield process
    finally:
        process.stop()
        shutil.rmtree(folder)


def own(redis):
    return Redis(unix_socket_path=f"{redis.folder}/redis.sock")


@pytest.fixture
def state(redis, tmp_path):
    tables = write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))
    made = RedisState(tmp_path, Log.from_tables(tables), "k", ServeConfig(state="redis", redis_url=redis.url, map_gb=0.1))
    yield made
    made.close()


def length(state):
    return int(state.history(["new"], np.array([2**62])).lengths[0])


def test_a_full_one_refuses_events_for_now_whole_and_lets_users_leave(state, redis):
    state.receive(row("new", "i3", 1, "e1"))
    keys = own(redis).info("keyspace")
    own(redis).config_set("maxmemory", 1)
    for _ in range(2):
        with pytest.raises(Unavailable, match="does not take it for now"):
            state.receive(row("new", "i3", 2, "e2"))
    assert not state.seen(["e2"])[0], "sent again it is not repeated"
    assert own(redis).info("keyspace") == keys
    assert length(state) == 1
    assert state.forget("new") == 1
    own(redis).config_set("maxmemory", 0)
    assert state.receive(row("newer", "i3", 2, "e2")).tolist() == [True]


def test_one_that_became_a_replica_is_left_for_the_one_its_name_means_by_then(state, redis):
    state.receive(row("new", "i3", 1, "e1"))
    own(redis).replicaof("127.0.0.1", 1)
    before = {one["id"] for one in own(redis).client_list()}
    with pytest.raises(Unavailable, match="does not take it for now"):
        state.receive(row("new", "i3", 2, "e2"))
    with pytest.raises(Unavailable):
        state.lease.held()
    with pytest.raises(ConfigError, match="no replica"):
        RedisServer(ServeConfig(redis_url=redis.url))
    own(redis).replicaof("NO", "ONE")
    assert state.receive(row("new", "i3", 2, "e2")).tolist() == [True]
    mine = until(lambda: {one["id"] for one in own(redis).client_list()} - before)
    assert mine, "by a connection of after it"
    assert length(state) == 2


def test_a_user_who_may_enough_is_enough_and_one_who_may_not_is_refused_at_the_start(redis, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(PASSWORD, "hidden words")
    allow = own(redis).execute_command
    allow("ACL", "SETUSER", "shop", "on", ">hidden words", "~headrace:*", "+@all", "-@admin", "-@dangerous")
    url = redis.url.replace("unix://", "unix://shop@")
    tables = write_tables(tmp_path / "tables", some_events(n=N_EVENTS, last_us=LAST_US))
    state = RedisState(tmp_path, Log.from_tables(tables), "k", ServeConfig(state="redis", redis_url=url, map_gb=0.1))
    state.rebuild([])
    assert state.receive(row("new", "i3", 1, "e1")).tolist() == [True]
    assert len(state.pending()[0]) == 1
    assert state.forget("new") == 1
    state.followed(state.left_to_follow())
    assert not state.server.rewrite_due, "it may not ask for that, and is not refused again and again"
    state.close()
    for rule in ("-@scripting", "-smismember", "resetkeys ~other:*"):
        allow("ACL", "SETUSER", "shop", "+@all", "-@admin", "-@dangerous", "resetkeys", "~headrace:*", *rule.split())
        with pytest.raises(ConfigError, match=r"\+@all -@admin -@dangerous ~headrace:\*"):
            RedisServer(ServeConfig(redis_url=url))
    allow("ACL", "SETUSER", "shop", "resetpass", ">another")
    with pytest.raises(ConfigError, match="password"):
        RedisServer(ServeConfig(redis_url=url))
    assert "hidden" not in caplog.text


@pytest.mark.parametrize(
    "url", ["redis://:hidden@localhost/0", "redis://u:hidden@localhost/0", "redis://localhost/0?password=hidden"]
)
def test_a_password_in_the_address_is_refused_wherever_it_stands(url):
    with pytest.raises(ConfigError, match=PASSWORD) as told:
        RedisServer(ServeConfig(redis_url=url))
    assert "hidden" not in str(told.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls_with_a_certificate_of_one_s_own(tmp_path):
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True)
    port = free_port()
    lies = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    with another(*lies, "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"):
        url = f"rediss://localhost:{port}/0"
        server = RedisServer(ServeConfig(redis_url=f"{url}?ssl_ca_certs={certificate}"))
        assert server.ask(lambda redis: redis.ping())
        server.close()
        with pytest.raises(ConfigError, match="certificate"):
            RedisServer(ServeConfig(redis_url=url))
