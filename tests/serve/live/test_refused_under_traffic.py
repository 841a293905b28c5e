"""Generations that were half copied, damaged or taken away are promoted in mid-traffic: each is refused, and nobody notices."""

import asyncio
import shutil

import httpx
import pytest

from headrace.serve.app import create_app
from tests.serve.live.conftest import quick

USERS = 6


def half(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def bent(path):
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def emptied(path):
    path.write_bytes(b"")


BROKEN = {"half copied": half, "a byte is another": bent, "empty": emptied, "not there": lambda path: path.unlink()}


@pytest.fixture
def ranker(wheel, ledger):
    """A file that the third generation alone reads."""
    key = ledger.store.find("generation", ledger.get(3).key).manifest.parents["rank"]
    return next(iter(wheel.glob(f"store/*/{key}/**/*.safetensors")))


def test_what_answers_goes_on(wheel, ledger, ranker, tmp_path):
    app, kept, told = create_app(wheel, quick()), tmp_path / "whole", list[tuple[int, str]]()
    shutil.copy(ranker, kept)
    serving, ended = app.state.serving, asyncio.Event()

    async def visitor(client, user):
        turn = 0
        while not ended.is_set():
            name = f"{user} {turn}"
            page = await client.post("/v1/recommend", json={"user_id": f"c{user}", "request_id": name})
            told.append((page.status_code, page.json().get("generation", "")))
            event = {"user_id": f"c{user}", "item_id": "p1", "at": "2025-06-20T10:00:00Z", "kind": "view", "event_id": name}
            assert (await client.post("/v1/events", json=event)).json()["stored"] == 1
            turn += 1

    async def breaks(client):
        for says, breaking in BROKEN.items():
            ledger.promote(3, says)
            breaking(ranker)
            answer = await client.post("/v1/generations/reload")
            assert answer.status_code == 409, (says, answer.text)
            assert "refused" in answer.text, says
            known = (await client.get("/v1/generations")).json()
            assert known["generations"][2]["status"] == "refused", says
            ledger.rollback("it could not be served")
            shutil.copy(kept, ranker)
        ledger.promote(3, "whole again")
        assert (await client.post("/v1/generations/reload")).json()["serving"] == 3
        async with asyncio.timeout(120):
            while ledger.get(3).key not in {generation for _, generation in told}:
                await asyncio.sleep(0.01)
        ended.set()

    async def all_of_them():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await asyncio.gather(breaks(client), *(visitor(client, user) for user in range(USERS)))

    asyncio.run(all_of_them())
    serving.close()
    assert {status for status, _ in told} == {200}
    assert {generation for _, generation in told} == {ledger.get(1).key, ledger.get(3).key}
