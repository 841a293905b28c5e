"""Items put, withdrawn, deleted, searched, filtered and alike, over HTTP in the process."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from headrace.cascade.run import build
from headrace.contracts.serving import ServeConfig
from headrace.data.importing import Columns, DataConfig, import_log
from headrace.serve.app import create_app
from headrace.serve.catalogue.newcomers import NewItems
from headrace.serve.catalogue.searched import Searched
from headrace.serve.catalogue.shelf import Shelf
from tests.cascade.shop import write_rich_shop

COLUMNS = Columns(events={"user_id": "customer", "item_id": "product", "at": "when"})
USERS = [f"c{n}" for n in range(40)]


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A shop whose items are made of wool, steel or glass, red or blue, with a retriever that items are alike by."""
    folder = tmp_path_factory.mktemp("items")
    toml = write_rich_shop(folder)
    toml.write_text(toml.read_text().replace("[retrieve]\n", '[retrieve]\nuse = ["itemknn", "sasrec"]\n', 1))
    build(toml, folder / "run", name="rich")
    return folder / "run"


def started(run: Path, tmp_path: Path):
    folder = Path(shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("served"), dirs_exist_ok=True))
    return create_app(folder, ServeConfig(runtime="torch", rotate_s=1000.0))


@pytest.fixture(scope="module")
def open_shop(rich, tmp_path_factory):
    with TestClient(started(rich, tmp_path_factory.mktemp("open"))) as client:
        yield client


@pytest.fixture
def client(open_shop):
    """Nothing has been said of an item yet."""
    yield open_shop
    service = open_shop.app.state.serving.service
    with service.state.writing() as writing:
        for name in ("items", "changes", "item_rows"):
            writing.drop(service.state.tables[name], delete=False)
    service.shelf = Shelf(service.pipeline, service.shared.catalogue, service.names, service.cascade.available)
    service.names = service.shelf.names
    service.searched = Searched(service.pipeline, service.shelf)
    service.new_items = NewItems(service.pipeline, service.shelf, service.state, service.cascade, 1)


def page(client, user="c1", **more):
    answer = client.post("/v1/recommend", json={"user_id": user, **more})
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]]


def found(client, query, **more):
    answer = client.post("/v1/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(hits):
    return [one["item_id"] for one in hits["items"]]


def put(client, *items, status=200):
    answer = client.put("/v1/items", json=items[0] if len(items) == 1 else list(items))
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_deleted_item_is_nowhere_until_it_is_put_again(client):
    gone = page(client)[0]
    assert client.delete(f"/v1/items/{gone}").json() == {"item_id": gone, "deleted": True, "known": True}
    assert client.delete(f"/v1/items/{gone}").json()["deleted"] is False
    assert all(gone not in page(client, user) for user in USERS)
    assert gone not in ids(found(client, "wool steel glass", n=100))
    other = "p1" if gone != "p1" else "p2"
    assert gone not in ids(client.get(f"/v1/items/{other}/similar?n=100").json())
    for path in ("", "/similar"):
        assert client.get(f"/v1/items/{gone}{path}").status_code == 404
    assert put(client, {"item_id": gone, "title": "Back", "text": "made of wool"})["items"][0]["recommendable"]
    assert any(gone in page(client, user) for user in USERS)
    assert gone in ids(found(client, "back wool"))


def test_a_withdrawn_item_comes_back_as_it_was(client):
    away = page(client)[0]
    before = client.get(f"/v1/items/{away}").json()["item"]
    said = put(client, {"item_id": away, "available": False})
    assert said["stored"] == 1
    assert said["items"][0] == {"item_id": away, "changed": True, "known": True, "recommendable": False, "searchable": []}
    assert put(client, {"item_id": away, "available": False})["unchanged"] == 1
    assert all(away not in page(client, user) for user in USERS)
    assert put(client, {"item_id": away, "price": 3})["items"][0]["recommendable"] is False, "another price brings nothing back"
    put(client, {"item_id": away, "available": True, "price": None})
    assert client.get(f"/v1/items/{away}").json()["item"] == before
    assert any(away in page(client, user) for user in USERS)


def test_a_page_sent_again_is_the_page_less_what_was_withdrawn_and_is_explained_as_it_was(client):
    first = page(client, "c2", request_id="again")
    client.delete(f"/v1/items/{first[1]}")
    assert page(client, "c2", request_id="again") == [first[0], *first[2:]]
    told = client.get("/v1/explain/again").json()
    assert told["worked_out_again"]
    assert [one["item_id"] for one in told["items"]] == first


def test_an_item_that_no_build_knows_is_found_at_once_and_says_by_what(client):
    assert found(client, "zebra striped kettle", mode="lexical")["items"] == []
    new = {"item_id": "kettle", "title": "Kettle", "text": "zebra stripes, made of steel", "colour": "red", "price": 9}
    (said,) = put(client, new)["items"]
    assert said == {
        "item_id": "kettle", "changed": True, "known": False, "recommendable": True, "searchable": ["lexical", "vector"],
    }  # fmt: skip
    assert ids(found(client, "zebra"))[0] == "kettle"
    assert "kettle" in ids(found(client, "made of steel", mode="vector", n=100))
    assert "kettle" in ids(found(client, "steel", filters={"price": {"min": 9}, "colour": {"any": ["red"]}}))
    assert ids(found(client, "steel", filters={"price": {"min": 9.5}})) == []
    assert client.get("/v1/items/kettle/similar").json()["by"] == "item_vectors"
    assert client.get("/v1/items/kettle").json()["item"]["text"] == new["text"]
    put(client, {"item_id": "kettle", "text": "plain"})
    assert ids(found(client, "zebra", mode="lexical")) == []
    client.delete("/v1/items/kettle")
    assert "kettle" not in ids(found(client, "kettle plain", n=100))


def test_changed_words_find_a_known_item_and_the_old_ones_no_more(client):
    put(client, {"item_id": "p3", "title": "Zeppelin", "text": None})
    assert ids(found(client, "zeppelin"))[0] == "p3"
    assert "p3" not in ids(found(client, "wool", mode="lexical", n=100))
    assert found(client, "zeppelin")["items"][0]["title"] == "Zeppelin"


ODD = ["a/b", "../x", "a b", "🧦", "similar", "100%", "?q=1#", "x" * 400, "é/similar/z", "<script>alert(1)</script>"]


@pytest.mark.parametrize("name", ODD)
def test_ids_and_titles_of_any_characters(client, name):
    from urllib.parse import quote

    where = "/v1/items/" + quote(name, safe="")
    put(client, {"item_id": name, "title": f"odd {name} zebra"})
    assert client.get(where).json()["item"]["item_id"] == name
    assert ids(found(client, "zebra", mode="lexical")) == [name]
    assert client.get(where + "/similar").json()["item_id"] == name
    assert client.delete(where).json()["deleted"]
    assert ids(found(client, "zebra", mode="lexical")) == []


@pytest.mark.parametrize(
    ("sent", "field", "says"),
    [
        ({"title": "no id"}, "item_id", "required"),
        ({"item_id": " "}, "item_id", "blank"),
        ({"item_id": "x", "titel": "y"}, "titel", 'Did you mean "title"'),
        ({"item_id": "x", "valid_from": "2026-01-01"}, "valid_from", "not a column"),
        ({"item_id": "x", "colour": 3}, "colour", "holds text"),
        ({"item_id": "x", "price": "dear"}, "price", "number"),
        ({"item_id": "x", "available": None}, "available", "boolean"),
        ([{"item_id": "x"}, {"item_id": "y", "categories": "a|b"}], "1.categories", "list"),
        ([{"item_id": "x"}, {"item_id": "y", "weight": 3}], "1.weight", "Columns: "),
        ([], "body", "at least 1"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_with_the_field_and_nothing_of_the_list_is_kept(client, sent, field, says):
    answer = client.put("/v1/items", json=sent)
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == field
    assert says in answer.json()["error"]["message"]
    assert client.get("/v1/items/x").status_code == 404


def test_a_filtered_page_is_filled_from_what_fits(client):
    for user in USERS[:10]:
        answer = client.post("/v1/recommend", json={"user_id": user, "filters": {"colour": {"any": ["blue"]}}}).json()
        assert len(answer["items"]) == 4
        assert all(int(one["item_id"][1:]) % 2 for one in answer["items"])
    narrow = {"categories": {"any": ["third 0"]}, "item_id": {"any": ["p3", "p6"]}}
    answer = client.post("/v1/recommend", json={"user_id": "nobody yet", "filters": narrow, "request_id": "narrow"}).json()
    assert {one["item_id"] for one in answer["items"]} == {"p3", "p6"}
    assert any("2 of 4 slots" in said for said in answer["said"])
    assert any(said.startswith("fallback: ") for said in answer["said"])
    told = client.get("/v1/explain/narrow").json()
    assert [one["item_id"] for one in told["items"]] == [one["item_id"] for one in answer["items"]]
    assert any("third 0" in rule for rule in told["rules"])
    again = {"user_id": "nobody yet", "request_id": "narrow", "filters": {"price": {"min": 1}}}
    assert client.post("/v1/recommend", json=again).status_code == 409


def test_retrievers_that_had_no_time_are_not_said_to_have_proposed_too_little(client):
    page(client)  # from now on it is known what a stage takes
    ask = {"user_id": "c2", "filters": {"colour": {"any": ["blue"]}}, "deadline_ms": 0.0001}
    answer = client.post("/v1/recommend", json=ask).json()
    assert {"retrieve.itemknn", "retrieve.sasrec"} <= set(answer["degraded"])
    assert answer["said"] == []


@pytest.mark.parametrize("path", ["recommend", "search"])
def test_a_filter_that_is_no_column_is_refused_with_the_nearest(client, path):
    ask = {"user_id": "c1", "filters": {"color": {"any": ["red"]}}}
    answer = client.post(f"/v1/{path}", json=ask | ({"query": "wool"} if path == "search" else {}))
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "filters.color"
    assert 'Did you mean "colour"' in answer.json()["error"]["message"]


def test_search_says_what_matched_and_how(client):
    hits = found(client, "red wool, glass", explain=True, n=20)
    assert hits["mode"] == "hybrid"
    for hit in hits["items"]:
        number = int(hit["item_id"][1:])
        assert ("wool" in hit["matched"]) == (number % 3 == 0)
        assert ("glass" in hit["matched"]) == (number % 3 == 2)
        assert {place["by"] for place in hit["places"]} <= {"lexical", "vector"}
    scores = [hit["score"] for hit in hits["items"]]
    assert scores == sorted(scores, reverse=True)
    unmet = found(client, "wool", filters={"colour": {"any": ["reed"]}})
    assert unmet["items"] == []
    assert any('Did you mean "red"' in said for said in unmet["said"])


@pytest.mark.parametrize("query", ["!?", "🧦", "zzzzz nothing", "a" * 9000, "\x00", "' OR 1=1 --", "wool " * 1500, "東京"])
def test_absurd_queries_are_answered(client, query):
    for mode in ("lexical", "vector", "hybrid"):
        assert len(found(client, query, mode=mode, explain=True)["items"]) <= 10


@pytest.mark.parametrize(
    ("ask", "field"),
    [({"query": " "}, "query"), ({}, "query"), ({"query": "x", "n": 0}, "n"), ({"query": "x", "mode": "fuzzy"}, "mode"),
     ({"query": "wool", "personal": True}, "user_id"), ({"query": "of no item", "personal": True}, "user_id"),
     ({"query": "x" * 10_001}, "query")],
)  # fmt: skip
def test_a_search_that_asks_for_nothing_is_refused(client, ask, field):
    answer = client.post("/v1/search", json=ask)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


def test_for_a_user_the_ranker_orders_what_was_found(client):
    put(client, {"item_id": "new", "title": "wool"})
    orders = {user: ids(found(client, "wool", mode="lexical", n=100, personal=True, user_id=user)) for user in USERS[:8]}
    plain = found(client, "wool", mode="lexical", n=100)
    assert all(sorted(order) == sorted(ids(plain)) for order in orders.values())
    assert len({str(order) for order in orders.values()}) > 1
    assert all(order.index("new") == ids(plain).index("new") for order in orders.values())
    nobody = found(client, "wool", mode="lexical", n=100, personal=True, user_id="never seen")
    assert not nobody["personal"]
    assert ids(nobody) == ids(plain)
    assert "nothing is known" in nobody["said"][0]


def test_similar_says_by_what(client):
    answer = client.get("/v1/items/p3/similar?n=5").json()
    assert answer["by"] == "item_vectors"
    assert "p3" not in ids(answer)
    put(client, {"item_id": "p3", "title": None, "text": None, "categories": None})
    wordless = client.get("/v1/items/p3/similar").json()
    assert wordless["by"] == "itemknn"
    assert wordless["items"]
    assert "p3" not in ids(wordless)
    assert client.get("/v1/items/nothing/similar").status_code == 404
    assert client.get("/v1/items/p3/similar?n=0").status_code == 422


def test_without_vectors_counts_of_who_chose_both_speak(run, tmp_path):
    with TestClient(started(run, tmp_path)) as client:
        answer = client.get("/v1/items/p3/similar?n=4").json()
        assert answer["by"] in ("itemknn", "co-occurrence")
        assert {"p2", "p4"} & set(ids(answer)), "neighbours on the ring are chosen together"
        refused = client.post("/v1/search", json={"query": "product", "mode": "hybrid"}).json()["error"]
        assert refused["field"] == "mode"
        assert found(client, "product 7")["mode"] == "lexical"
        assert ids(found(client, "product 7"))[0] == "p7"


def test_a_restart_forgets_nothing_and_the_next_import_reads_the_rows(rich, tmp_path):
    with TestClient(started(rich, tmp_path)) as client:
        client.delete("/v1/items/p4")
        put(client, {"item_id": "p5", "available": False}, {"item_id": "late", "title": "Zebra", "colour": "red"})
    files = list((tmp_path / "run" / "served" / "items").glob("*/*.parquet"))
    rows = pl.concat([pl.read_parquet(file) for file in files])
    assert dict(zip(rows["item_id"], rows["available"], strict=True)) == {"p4": False, "p5": False, "late": True}
    assert rows.filter(pl.col("item_id") == "p4")["title"].to_list() == ["Product 4"]
    together = tmp_path / "together"
    together.mkdir()
    (table,) = (tmp_path / "run" / "store" / "tables").glob("*/items.parquet")
    for file in (table, *files):
        shutil.copy(file, together / f"{file.parent.name} {file.name}")
    settings = DataConfig(events=str(rich.parent / "events.csv"), items=str(together), columns=COLUMNS)
    import_log(settings, {}, base=tmp_path, out=together)
    held = pl.read_parquet(together / "items.parquet").sort("valid_from").unique("item_id", keep="last")
    assert sorted(held.filter(~pl.col("available"))["item_id"]) == ["p4", "p5"]
    assert len(held) == 25
    with TestClient(started(rich, tmp_path)) as client:
        assert all(not {"p4", "p5"} & set(page(client, user)) for user in USERS)
        assert not {"p4", "p5"} & set(ids(found(client, "product", n=100)))
        assert ids(found(client, "zebra", mode="lexical")) == ["late"]


def test_deletes_under_load(rich, tmp_path):
    """Six clients ask while one deletes, withdraws and puts: whoever asks after an acknowledgement never sees the item."""
    with TestClient(started(rich, tmp_path)) as client:
        gone: dict[str, int] = {}
        guard, ended, seen = threading.Lock(), threading.Event(), list[str]()
        asked = [0]

        def ask(worker: int) -> None:
            number = 0
            while not ended.is_set() or asked[0] <= 30:
                with guard:
                    before = dict(gone)
                number += 1
                if number % 3 == 0:
                    shown = ids(found(client, "wool steel glass", n=100))
                elif number % 3 == 1:
                    shown = page(client, USERS[(7 * worker + number) % 40])
                else:
                    shown = ids(client.get("/v1/items/p23/similar?n=100").json())
                with guard:
                    asked[0] += 1
                    seen.extend(one for one in shown if one in before and gone.get(one) == before[one])

        with ThreadPoolExecutor(6) as pool:
            working = [pool.submit(ask, worker) for worker in range(6)]
            try:
                for turn in range(60):
                    item = f"p{turn % 12}"
                    if turn % 2:
                        assert client.delete(f"/v1/items/{item}").status_code == 200
                    else:
                        put(client, {"item_id": item, "available": False})
                    with guard:
                        gone[item] = turn
                    time.sleep(0.01)
                    if turn % 3 == 0:
                        with guard:
                            del gone[item]
                        put(client, {"item_id": item, "title": "Back", "text": "wool", "available": True})
            finally:
                ended.set()
            for one in working:
                one.result()
        assert seen == []
        assert asked[0] > 30
