"""A real server over a real build: started, asked, stopped."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import polars as pl
import pytest

from headrace.cascade.run import open_run
from headrace.contracts.tables import EVENTS
from headrace.serve.logs.events import served_events
from headrace.serve.logs.impressions import logged_request
from tests.ports import free_port

HEADRACE = Path(sys.executable).parent / "headrace"


@contextmanager
def serving(run, **environment):
    """A client and the process, in this one's environment and more. Stopped at the end, if it still runs."""
    port = free_port()
    command = [str(HEADRACE), "serve", str(run), "--port", str(port)]
    server = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            deadline = time.monotonic() + 120
            while True:
                try:
                    client.get("/healthz")
                    break
                except httpx.TransportError:
                    assert server.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            yield client, server
    finally:
        server.terminate()
        try:
            server.wait(60)
        finally:
            server.kill()


@pytest.fixture(scope="module")
def client(run):
    with serving(run) as (client, _):
        yield client


def items(page):
    return [one["item_id"] for one in page["items"]]


def bought(user, item, **more):
    return {"user_id": user, "item_id": item, "at": "2025-01-01T10:00:00Z", "kind": "view", **more}


def test_it_answers_with_a_page_and_reasons(client, run):
    page = client.post("/v1/recommend", json={"user_id": "c1"}).json()
    assert [item["position"] for item in page["items"]] == [1, 2, 3, 4]
    assert all(item["reasons"] and 0 < item["propensity"] <= 1 for item in page["items"])
    assert page["generation"] == client.get("/healthz").json()["generation"] == open_run(run).generation.key


def test_the_same_request_gets_the_same_page(client):
    ask = {"user_id": "c2", "request_id": "r-1", "seed": 3}
    first, second = (client.post("/v1/recommend", json=ask).json() for _ in range(2))
    assert first["items"] == second["items"]
    pages = {str(client.post("/v1/recommend", json={**ask, "request_id": f"r-{n}"}).json()["items"]) for n in range(20)}
    assert len(pages) > 1, "another request is another draw"
    assert client.post("/v1/recommend", json={**ask, "seed": 4}).status_code == 409


def test_an_event_changes_the_user_s_next_page_and_a_repeated_one_nothing(client):
    before = items(client.post("/v1/recommend", json={"user_id": "c3"}).json())
    sent = bought("c3", before[0], event_id="read-your-writes")
    assert client.post("/v1/events", json=sent).json() == {"stored": 1, "repeated": 0, "erased": 0}
    assert client.post("/v1/events", json=[sent, sent]).json() == {"stored": 0, "repeated": 2, "erased": 0}
    assert before[0] not in items(client.post("/v1/recommend", json={"user_id": "c3"}).json())


def test_a_page_is_explained(client):
    page = client.post("/v1/recommend", json={"user_id": "c4", "request_id": "why", "n": 2, "exclude": ["p1"]}).json()
    found = client.get("/v1/explain/why").json()
    assert [one["item_id"] for one in found["items"]] == items(page)
    assert all(one["proposed_by"] and one["stages"][-1]["stage"] == "rank" for one in found["items"])
    missing = client.get("/v1/explain/never")
    assert missing.status_code == 404
    assert missing.json()["error"]["field"] == "request_id"


@pytest.mark.parametrize(
    ("path", "body", "field", "says"),
    [
        ("recommend", {"user": "c1"}, "user_id", "required"),
        ("recommend", {"user_id": "c1", "sed": 1}, "sed", 'Did you mean "seed"'),
        ("recommend", {"user_id": 1}, "user_id", "string"),
        ("recommend", {"user_id": "c1", "n": 50}, "n", "4 slots"),
        ("recommend", [], "body", "is"),
        ("events", {"user_id": "c1", "item_id": "p1", "kind": "view"}, "at", "required"),
        ("events", [bought("c1", "p1"), bought("c1", "p1", at="2025-01-01T10:00:00")], "1.at", "timezone"),
        ("events", [bought("c1", "p1", when=3)], "0.when", "Fields:"),
        ("events", [], "body", "at least 1"),
    ],
)
def test_a_bad_request_is_refused_with_the_field_and_the_reason(client, path, body, field, says):
    answer = client.post(f"/v1/{path}", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 422
    assert error["field"] == field
    assert says in error["message"]
    assert len(error["message"]) < 300


def test_what_is_no_json_is_said_to_be_none(client):
    answer = client.post("/v1/recommend", content="{", headers={"content-type": "application/json"})
    assert answer.json()["error"]["field"] == "body"


def test_an_unknown_user_gets_a_page(client):
    assert len(client.post("/v1/recommend", json={"user_id": "x" * 9999}).json()["items"]) == 4


def test_it_counts_what_it_does_and_describes_itself(client):
    client.post("/v1/recommend", json={"user_id": "c1"})
    client.post("/v1/recommend", json={})
    text = client.get("/metrics").text
    for stage in ("retrieve", "prerank", "rank", "page", "whole"):
        assert re.search(rf'headrace_stage_seconds_bucket{{le="0.01",stage="{stage}"}} \d', text)
    assert re.search(r'headrace_errors_total{fault="client",route="/v1/recommend"} [1-9]', text)
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/recommend", "/v1/events", "/v1/explain/{request_id}", "/healthz", "/metrics"} <= paths.keys()


def test_sigterm_finishes_answers_in_flight_and_flushes_logs_and_state(own_run):
    with serving(own_run) as (client, server):
        events = [bought("c5", f"p{n}", event_id=f"e{n}") for n in range(3)]
        assert client.post("/v1/events", json=events).json()["stored"] == 3
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(client.post, "/v1/recommend", json={"user_id": "c5", "request_id": f"r{n}"}) for n in range(8)]
            asked[0].result()
            server.send_signal(signal.SIGTERM)
            answers = []
            for one in asked:
                try:
                    answers.append(one.result())
                except httpx.TransportError:  # it came after the door was shut
                    continue
        assert server.wait(60) in (0, -signal.SIGTERM)
    assert {one.status_code for one in answers} <= {200, 503}
    answers = [one for one in answers if one.status_code == 200]  # others came to a door that was shut
    assert answers
    logs = own_run / "served"
    for one in answers:
        assert logged_request(logs, one.json()["request_id"]) is not None
    assert not list(logs.rglob(".*.new"))
    logged = pl.concat([EVENTS.schema().to_frame(), *served_events(logs)])
    assert sorted(logged["event_id"]) == ["e0", "e1", "e2"]
    with serving(own_run) as (client, _):
        assert client.post("/v1/events", json=events).json() == {"stored": 0, "repeated": 3, "erased": 0}
        found = client.get(f"/v1/explain/{answers[0].json()['request_id']}").json()
        assert found["worked_out_again"]
        assert not {"p0", "p1", "p2"} & set(items(client.post("/v1/recommend", json={"user_id": "c5"}).json()))
