"""A real server over a real build: started, asked, stopped."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from headrace.cascade.run import build, open_run, recommend
from tests.cascade.shop import write_shop

HEADRACE = Path(sys.executable).parent / "headrace"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    build(write_shop(folder), folder / "run", name="shop")
    return folder / "run"


@pytest.fixture(scope="module")
def client(run):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([HEADRACE, "serve", str(run), "--port", str(port)], stdout=subprocess.DEVNULL)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        deadline = time.monotonic() + 60
        while True:
            try:
                client.get("/healthz")
                break
            except httpx.TransportError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield client
    server.terminate()
    server.wait(10)


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


def test_the_served_page_is_the_one_computed_in_process(client, run):
    pipeline = open_run(run)
    at = f"{int(pipeline.log.users.encode(['c4'])[0])}@{pipeline.cuts.last_us + 1}"
    served = client.post("/v1/recommend", json={"user_id": "c4", "request_id": at}).json()
    assert [item["item_id"] for item in served["items"]] == [one.item_id for one in recommend(pipeline, "c4")]


def test_a_bad_request_is_refused_with_the_field(client):
    answer = client.post("/v1/recommend", json={"user": "c1"})
    assert answer.status_code == 422
    assert "user_id" in answer.text


def test_an_unknown_user_gets_a_page(client):
    assert len(client.post("/v1/recommend", json={"user_id": "x" * 9999}).json()["items"]) == 4
