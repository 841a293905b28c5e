"""A started server that gets ten times what it may keep waiting, and clients who take their time: it sheds, goes on, recovers."""

import asyncio
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import polars as pl
import pytest

from headrace.serve.logs.events import served_events
from tests.serve.test_app import bought, items, serving

WAITING, TIMES, EACH = 6, 10, 3
ENDS = b"\r\n\r\n"


@pytest.fixture
def narrow(own_run):
    """Few may wait, and slow senders are waited for a second; the plan says so."""
    path = own_run / "plan.json"
    kept = json.loads(path.read_text())
    kept["toml"]["serve"] = {"waiting": WAITING, "read_s": 1.0, "runtime": "torch"}
    path.write_text(json.dumps(kept))
    return own_run


def test_ten_times_too_many_are_shed_and_afterwards_all_are_answered(narrow):
    """Pages and events by as many clients at once; what was turned away was not half done."""
    told: list[tuple[int, str]] = []

    def crowd(client, name):
        for turn in range(EACH):
            event_id = f"{name} {turn}"
            answer = client.post("/v1/events", json=bought(f"c{name % 40}", f"p{turn}", event_id=event_id))
            told.append((answer.status_code, event_id))
            page = client.post("/v1/recommend", json={"user_id": f"c{name % 40}", "request_id": event_id})
            told.append((page.status_code, ""))
            assert all("retry-after" in one.headers for one in (answer, page) if one.status_code == 503)
            assert client.get("/healthz").status_code == 200, "those who look whether it lives are answered meanwhile"

    with serving(narrow) as (client, server), httpx.Client(base_url=client.base_url, trust_env=False, timeout=60) as crowded:
        with ThreadPoolExecutor(TIMES * WAITING) as pool:
            list(pool.map(lambda name: crowd(crowded, name), range(TIMES * WAITING)))
        statuses = Counter(status for status, _ in told)
        assert statuses.keys() == {200, 503}
        assert len(told) == 2 * EACH * TIMES * WAITING
        for number in range(3 * WAITING):
            assert client.post("/v1/recommend", json={"user_id": f"c{number}"}).status_code == 200
        assert server.poll() is None
    logged = pl.concat(served_events(narrow / "served"))["event_id"].to_list()
    assert sorted(logged) == sorted(event_id for status, event_id in told if event_id and status == 200)


def test_who_trickles_holds_nobody_up(narrow):
    """Headers and bodies byte by byte, answers that nobody reads: more of them than may wait, and the others are answered."""
    page = json.dumps({"user_id": "c1"}).encode()
    head = f"POST /v1/recommend HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: {len(page)}".encode()
    large = b"GET /openapi.json HTTP/1.1\r\nHost: here" + ENDS

    async def trickle(port, at_once, slowly):
        """The first line it is told, until the server lets go."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        told = asyncio.create_task(reader.readline())
        writer.write(at_once)
        for byte in slowly:
            if told.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.2)
        writer.close()
        try:
            return await told
        except ConnectionResetError:  # what it was told was on its way while it still sent
            return b""

    async def deaf(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=100)
        writer.write(large * 40)
        await asyncio.sleep(4)
        writer.close()

    async def slow_ones(port):
        several = range(2 * WAITING)
        headers: list[bytes]
        bodies: list[bytes]
        headers, bodies, _ = await asyncio.gather(
            asyncio.gather(*(trickle(port, b"", head) for _ in several)),
            asyncio.gather(*(trickle(port, head + ENDS + page[:3], page[3:]) for _ in several)),
            asyncio.gather(*(deaf(port) for _ in range(WAITING))),
        )
        return headers, bodies

    with serving(narrow) as (client, _):
        ended, answered, found = threading.Event(), Counter[int](), []

        def ordinary():
            while not ended.is_set():
                answered[client.post("/v1/recommend", json={"user_id": "c2"}).status_code] += 1
                time.sleep(0.01)

        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(ordinary)
            try:
                found = asyncio.run(slow_ones(client.base_url.port))
            finally:
                ended.set()
                working.result()
        headers, bodies = found
        assert set(headers) == {b""}, "hung up on"
        assert any(b" 408 " in one for one in bodies)
        assert not any(b" 200 " in one for one in bodies)
        assert answered.keys() == {200}
        assert answered[200] > 10
        assert len(items(client.post("/v1/recommend", json={"user_id": "c3"}).json())) == 4
