"""One of two servers can't reach Redis while the other goes on: what its pages, /readyz and metrics say."""

import re
import shutil

import pytest
from fastapi.testclient import TestClient

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.state.redis_server import Unavailable
from tests.serve.redis_process import needs_redis
from tests.serve.test_app import items
from tests.serve.workers.started import until

pytestmark = needs_redis
STALE_S = 0.5


@pytest.fixture
def servers(run, tmp_path, redis):
    """One that goes on, and one that will be cut off and says so after a while."""
    made = []
    for name, stale_s in (("one", 0.0), ("cut off", STALE_S)):
        folder = shutil.copytree(run, tmp_path / name, ignore=shutil.ignore_patterns("served"))
        settings = {"state": "redis", "redis_url": redis.url, "rotate_s": 0.1, "runtime": "torch", "min_free_mb": 0.0}
        made.append(TestClient(create_app(folder, ServeConfig(**settings, stale_s=stale_s))))
    with made[0], made[1]:
        yield made


def service(client):
    return client.app.state.serving.service


def page(client, request_id):
    return client.post("/v1/recommend", json={"user_id": "c1", "request_id": request_id}).json()


def silent_s(client):
    found = re.search(r"^headrace_redis_silent_seconds (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def not_ready(client):
    answer = client.get("/readyz")
    return answer.status_code == 503 and answer.json()["reasons"]


def unreachable(_):
    raise Unavailable("Redis does not answer.")


def test_it_says_that_items_may_have_gone_and_after_a_while_that_it_should_not_be_asked(servers, monkeypatch):
    one, cut = servers
    gone = items(page(cut, "before"))[0]
    until(lambda: not not_ready(cut))
    with monkeypatch.context() as patch:
        patch.setattr(service(cut).state.server, "ask", unreachable)
        assert one.delete(f"/v1/items/{gone}").json()["deleted"]
        meanwhile = [page(cut, f"meanwhile {number}") for number in range(10)]
        assert gone in {item for one in meanwhile for item in items(one)}, "it can't know: so the page says so"
        assert {tuple(one["degraded"]) for one in meanwhile} == {("history", "items")}
        assert page(cut, "meanwhile 3")["degraded"] == ["history", "items"], "also sent again"
        patch.setattr(service(cut).impersonal, "holds", lambda *_: True)
        assert page(cut, "whose history is not read")["degraded"] == ["items"]
        assert 'headrace_degraded_total{stage="items"} 11.0' in cut.get("/metrics").text
        says = until(lambda: not_ready(cut))
        assert len(says) == 1
        assert "Redis has not answered for" in says[0]
        assert f"([serve] stale_s = {STALE_S:g})" in says[0]
        until(lambda: silent_s(cut) > STALE_S)
        assert not not_ready(one)
    after = page(cut, "after")
    assert after["degraded"] == []
    assert gone not in items(after)
    until(lambda: not not_ready(cut))
    until(lambda: silent_s(cut) < STALE_S)
    assert silent_s(one) < 60
