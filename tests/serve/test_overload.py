"""A started server that gets ten times what it may keep waiting, and clients who take their time: it sheds, goes on, recovers."""

import asyncio
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import polars as pl
import pytest

from headrace.serve.logs.events import served_events
from tests.serve.test_app import bought, items, serving

WAITING, TIMES, EACH = 6, 10, 3
ENDS = b"\r\n\r\n"


@pytest.fixture
def narrow(own_run):
    """Few may wait; the plan says so, and how long slow senders are waited for."""

    def made(read_s):
        path = own_run / "plan.json"
        kept = json.loads(path.read_text())
        kept["toml"]["serve"] = {"waiting": WAITING, "read_s": read_s, "runtime": "torch"}
        path.write_text(json.dumps(kept))
        return own_run

    return made


def test_ten_times_too_many_are_shed_and_afterwards_all_are_answered(narrow):
    """Pages and events by as many clients at once; what was turned away was not half done."""
    run, told, until_s = narrow(600.0), list[tuple[int, str]](), time.monotonic() + 120

    def crowd(client, name):
        """Some turns, and on until one of all was turned away: which machine is the quicker nobody knows."""
        for turn in count():
            if turn >= EACH and (any(status == 503 for status, _ in told) or time.monotonic() > until_s):
                return
            event_id = f"{name} {turn}"
            answer = client.post("/v1/events", json=bought(f"c{name % 40}", f"p{turn % 24}", event_id=event_id))
            told.append((answer.status_code, event_id))
            page = client.post("/v1/recommend", json={"user_id": f"c{name % 40}", "request_id": event_id})
            told.append((page.status_code, ""))
            assert all("retry-after" in one.headers for one in (answer, page) if one.status_code == 503)
            assert client.get("/healthz").status_code == 200, "those who look whether it lives are answered meanwhile"

    with serving(run) as (client, server), httpx.Client(base_url=client.base_url, trust_env=False, timeout=60) as crowded:
        with ThreadPoolExecutor(TIMES * WAITING) as pool:
            list(pool.map(lambda name: crowd(crowded, name), range(TIMES * WAITING)))
        statuses = Counter(status for status, _ in told)
        assert statuses.keys() == {200, 503}
        assert len(told) >= 2 * EACH * TIMES * WAITING
        for number in range(3 * WAITING):
            assert client.post("/v1/recommend", json={"user_id": f"c{number}"}).status_code == 200
        assert server.poll() is None
    logged = pl.concat(served_events(run / "served"))["event_id"].to_list()
    assert sorted(logged) == sorted(event_id for status, event_id in told if event_id and status == 200)


def test_who_trickles_holds_nobody_up(narrow):
    """Headers and bodies byte by byte, answers that nobody reads: more of them than may wait, and the others are answered."""
    page = json.dumps({"user_id": "c1"}).encode() + 200 * b" "
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

    async def ordinary(port, ended):
        """The first lines of answers to requests that are sent at once, each in one piece."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        told = Counter[bytes]()
        while told.total() <= 10 or not ended.is_set():
            writer.write(head + ENDS + page)
            answer = await reader.readuntil(ENDS)
            told[answer.split(b"\r\n")[0]] += 1
            (length,) = (line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            await asyncio.sleep(0.01)
        writer.close()
        return told

    async def all_of_them(port):
        several, ended = range(2 * WAITING), asyncio.Event()
        deaf = [await asyncio.open_connection("127.0.0.1", port, limit=100) for _ in range(WAITING)]
        for _, writer in deaf:
            writer.write(large * 40)
        others = asyncio.create_task(ordinary(port, ended))
        headers: list[bytes]
        bodies: list[bytes]
        headers, bodies = await asyncio.gather(
            asyncio.gather(*(trickle(port, b"", head) for _ in several)),
            asyncio.gather(*(trickle(port, head + ENDS + page[:3], page[3:]) for _ in several)),
        )
        ended.set()
        answered = await others
        for _, writer in deaf:
            writer.close()
        return headers, bodies, answered

    with serving(narrow(1.0)) as (client, _):
        headers, bodies, answered = asyncio.run(all_of_them(client.base_url.port))
        assert set(headers) == {b""}, "hung up on"
        assert any(b" 408 " in one for one in bodies)
        assert not any(b" 200 " in one for one in bodies)
        assert answered.keys() == {b"HTTP/1.1 200 OK"}
        assert len(items(client.post("/v1/recommend", json={"user_id": "c3"}).json())) == 4
