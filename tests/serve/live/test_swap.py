"""Two generations alternate under load: nothing fails, and each answer is that of the generation it names."""

import asyncio
import threading
import weakref
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from headrace.serve.app import create_app, open_service
from headrace.serve.live.holder import Live
from headrace.serve.logs.events import served_events
from headrace.serve.logs.impressions import logged_candidates, logged_request
from headrace.serve.messages import Event
from tests.serve.live.conftest import AT_S, SERVED, quick

SWAPS = 5


def ids(page):
    return [one["item_id"] for one in page["items"]]


async def visitor(client, name, answers, stop):
    """Asks, looks at the first item, asks again; every answer is checked for what was just told."""
    turn = 0
    while not stop.is_set():
        user = f"c{name}" if turn < 4 else f"somebody {name} {turn // 4}"  # nobody runs out of items
        request = {"user_id": user, "request_id": f"{name} {turn}", "seed": turn}
        first = await client.post("/v1/recommend", json=request)
        assert first.status_code == 200, first.text
        item = ids(first.json())[0]
        event = {"user_id": user, "item_id": item, "at": "2025-06-20T10:00:00Z", "kind": "view", "event_id": f"{name}/{turn}"}
        told = await client.post("/v1/events", json={**event, "request_id": request["request_id"]})
        assert told.json() == {"stored": 1, "repeated": 0, "erased": 0}
        after = await client.post("/v1/recommend", json={**request, "request_id": f"{name} {turn} again"})
        assert item not in ids(after.json()), "what one wrote is read, whichever generation reads it"
        repeated = await client.post("/v1/recommend", json=request)
        assert repeated.json() | {"latency_ms": 0} == first.json() | {"latency_ms": 0}
        told = await client.post("/v1/events", json=event)
        assert told.json()["repeated"] == 1
        answers += [first.json(), after.json()]
        turn += 1


async def alternate(client, ledger, answers, stop):
    """Each has been asked before it goes."""
    said = []
    for number in range(SWAPS):
        await asyncio.to_thread(ledger.promote, 2 - number % 2, f"swap {number}")
        done = await client.post("/v1/generations/reload")
        assert done.status_code == 200, done.text
        said.append(done.json()["serving"])
        key, had = ledger.get(said[-1]).key, len(answers)
        async with asyncio.timeout(120):
            while key not in {one["generation"] for one in answers[had:]}:
                await asyncio.sleep(0.01)
    stop.set()
    return said


def test_no_request_is_dropped_or_answered_twice_while_generations_alternate(wheel, ledger):
    app = create_app(wheel, quick(rotate_s=0.5))
    serving, stop = app.state.serving, asyncio.Event()
    answers: list[Any] = []

    async def all_of_them():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            visitors = [visitor(client, name, answers, stop) for name in range(4)]
            said, *_ = await asyncio.gather(alternate(client, ledger, answers, stop), *visitors)
            told = (await client.get("/v1/generations")).json()
            assert "headrace_generation_moves_total" in (await client.get("/metrics")).text
            return said, told

    said, told = asyncio.run(all_of_them())
    assert said == [2, 1, 2, 1, 2]
    assert told["serving"] == told["live"] == 2
    keys = {ledger.get(number).key for number in (1, 2)}
    assert {one["generation"] for one in answers} == keys, "both answered"
    for number in (1, 2):  # each answer worked out again by the generation it names, as of its moment
        service = serving.live.open.opened(ledger.get(number))
        for page in answers:
            if page["generation"] == service.generation:
                asked = service.remembered(page["request_id"]).asked
                walked = service.walk(asked, counted=False)
                assert [service.names.ids[item] for item in walked.slates.items[0]] == ids(page)
    serving.close()
    for page in answers[:10]:
        found = logged_request(wheel / "served", page["request_id"])
        assert found is not None
        assert found[1] == page["generation"]
        shown = logged_candidates(wheel / "served", page["request_id"]).filter(pl.col("stage") == "shown")
        assert shown["item_id"].to_list() == ids(page)
    logged = pl.concat(served_events(wheel / "served"))
    assert not logged["event_id"].is_duplicated().any()
    assert len(logged) == len(answers) // 2


@pytest.fixture
def told_before(live):
    """The events that the second generation has read too, served while the first was live; and two that it has not."""
    events = [event(user, item, n, event_id) for n, (user, item, event_id) in enumerate(SERVED)]
    live.current.receive(events)
    live.current.receive([event("c1", f"p{n}", 100 + n, f"new {n}") for n in (1, 2)])
    return events


def event(user, item, n, event_id):
    return Event(user_id=user, item_id=item, at=datetime.fromtimestamp(AT_S + n, UTC), kind="view", event_id=event_id)


def names_of(service, user="c1"):
    found = service.state.history([user], np.array([service.now_us()]))
    return [service.names.ids[item] for item in found.items], found.at_us.tolist()


def test_a_swap_leaves_every_history_as_it_was(live, ledger, told_before):
    first = live.current
    before = names_of(first)
    assert before[0][-6:] == ["p3", "p9", "p15", "p21", "p1", "p2"]
    ledger.promote(2, "it has read four of them")
    live.reload()
    second = live.current
    assert second is not first
    assert names_of(second) == names_of(first) == before
    assert second.state.known.holds([one.event_id for one in told_before]).sum() == 4
    assert second.receive(told_before).repeated == 4
    live.open.take_out({second.generation})
    live.open.let_go()
    assert names_of(second) == before
    with second.state.reading() as reading:
        assert reading.stat(second.state.tables["newer"])["entries"] == 2, "what all have read is taken out"
    ledger.rollback("worse")
    live.reload()
    assert live.number == 1
    assert names_of(live.current) == before, "and is put back for one that has not"


def test_requests_in_flight_end_on_the_old_one_before_it_is_closed(live, ledger):
    flights, old = live.open.flights, live.current
    epoch, closed = flights.begin(), threading.Event()
    ledger.promote(2, "")
    live.reload()

    def close():
        live.open.take_out({live.current.generation})
        live.open.let_go()
        closed.set()

    thread = threading.Thread(target=close)
    thread.start()
    assert not closed.wait(0.2)
    assert old.recommend("c1", "in flight").page
    flights.end(epoch)
    thread.join(120)
    assert closed.is_set()
    assert len(live.current.state.views) == 1


def test_nothing_of_a_closed_generation_is_kept_for_answers_that_are_not_in_a_file_yet(wheel, ledger):
    live = Live(wheel, open_service(wheel, quick(rotate_s=1000.0)))
    live.current.recommend("c1", "it waits for a file")
    models = [weakref.ref(one.scorer) for one in live.current.cascade.scorings]
    ledger.promote(2, "")
    live.reload()
    live.open.take_out({live.current.generation})
    live.open.let_go()
    assert [model() for model in models] == [None] * len(models)
    live.close()
    assert logged_request(wheel / "served", "it waits for a file") is not None


def test_a_corrupt_generation_is_refused_and_the_old_one_goes_on(live, ledger, wheel):
    ranker = ledger.store.find("generation", ledger.get(3).key).manifest.parents["rank"]
    path = next(iter(wheel.glob(f"store/*/{ranker}/**/*.safetensors")))
    ledger.promote(3, "")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # half copied
    assert live.reload().startswith("refused")
    assert live.number == 1
    assert live.current.recommend("c1", "r").page
    refused = next(one for one in live.all() if one.status == "refused")
    assert refused.number == 3
    assert "is not what was written" in refused.says
    assert 'headrace_generation_moves_total{outcome="refused"} 1.0' in live.metrics.text().decode()
    path.write_bytes(whole)
    assert live.reload() == "generation 3 answers"
    assert live.number == 3
