"""Writers, readers and whoever keeps the catalogue, all at once at a started server: what was acknowledged holds."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import polars as pl

from headrace.serve.logs.events import served_events
from tests.serve.test_app import bought, items, serving

TURNS, AT_ONCE = 12, 20


def ids(answer):
    assert answer.status_code == 200, answer.text
    return items(answer.json())


def test_deleted_items_are_gone_new_ones_are_there_and_no_event_is_lost(own_run):
    gone: dict[str, int] = {}
    guard, ended = threading.Lock(), threading.Event()
    seen, kept, asked = list[str](), list[str](), list[int]()

    def reads(client, worker):
        number = 0
        while not ended.is_set() or len(asked) <= 10:
            with guard:
                before = dict(gone)
            number += 1
            match number % 3:
                case 0:
                    shown = ids(client.post("/v1/search", json={"query": "product", "n": 100}))
                case 1:
                    shown = ids(client.post("/v1/recommend", json={"user_id": f"c{(7 * worker + number) % 40}"}))
                case _:
                    shown = ids(client.get("/v1/items/p23/similar?n=24"))
            with guard:
                seen.extend(one for one in shown if one in before and gone.get(one) == before[one])
            asked.append(number)

    def writes(client, worker):
        number = 0
        while not ended.is_set():
            names = [f"{worker} {number} {n}" for n in range(AT_ONCE)]
            told = client.post("/v1/events", json=[bought(f"of {worker}", "p20", event_id=name) for name in names])
            assert told.json()["stored"] == AT_ONCE
            kept.extend(names)
            number += 1

    def keeps(client):
        """One after another: an item withdrawn or deleted, a new one put and looked for, sometimes the first one put back."""
        for turn in range(TURNS):
            item, new = f"p{turn % 12}", f"new{turn}"
            if turn % 2:
                assert client.delete(f"/v1/items/{item}").status_code == 200
            else:
                assert client.put("/v1/items", json={"item_id": item, "available": False}).status_code == 200
            with guard:
                gone[item] = turn
            assert client.put("/v1/items", json={"item_id": new, "title": f"Gadget {new}"}).json()["stored"] == 1
            assert ids(client.post("/v1/search", json={"query": new, "mode": "lexical"})) == [new], "by the first search after it"
            assert client.get(f"/v1/items/{new}").status_code == 200
            if turn % 3 == 0:
                with guard:
                    del gone[item]
                back = {"item_id": item, "title": "Back", "available": True}
                assert client.put("/v1/items", json=back).status_code == 200

    with serving(own_run) as (client, server):
        with (
            httpx.Client(base_url=client.base_url, trust_env=False, timeout=60) as several,
            ThreadPoolExecutor(6) as pool,
        ):
            working = [*(pool.submit(reads, several, n) for n in range(3)), *(pool.submit(writes, several, n) for n in range(2))]
            try:
                keeps(client)
            finally:
                ended.set()
            for one in working:
                one.result()
        assert server.poll() is None
        assert seen == [], "an item was shown after its going was acknowledged"
        assert len(asked) > 10
        again = client.post("/v1/events", json=[bought("of 0", "p20", event_id=name) for name in kept[: 5 * AT_ONCE]])
        assert again.json()["repeated"] == min(len(kept), 5 * AT_ONCE)
    logged = pl.concat(served_events(own_run / "served"))["event_id"].to_list()
    assert sorted(logged) == sorted(kept)
    with serving(own_run) as (client, _):
        for user in range(6):
            assert not set(gone) & set(ids(client.post("/v1/recommend", json={"user_id": f"c{user}"})))
