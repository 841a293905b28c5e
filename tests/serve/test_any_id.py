"""Ids as callers have them, and as nobody should: separators, markup, what a shell or a file system would take for its own."""

import shutil
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from tests.serve.test_app import bought, items

IDS = [
    "a/b", "/etc/passwd", "../../../escaped", "..\\..\\escaped", "a//b/", "a b", "日本/ä", "🧦", "‮oops",
    "a\u2028b", "; rm -rf /", "$(touch escaped)", "-rf", "*", "?a=b&c", "#fragment", "'\"<b>", "{{ 7 * 7 }}", "NaN", "null", "0",
    "similar", "a/similar/b", "shadow", ".hidden", "e\u0301", "x" * 5000,
]  # fmt: skip
CONTROLS = ["\x00", "a\x00b", "a\nb", "\x1b[31mred", "\x7f", "\r\nX-Told: yes", "\x1f/../\x00"]


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    return shutil.copytree(run, tmp_path_factory.mktemp("ids") / "run", ignore=shutil.ignore_patterns("served"))


@pytest.fixture(scope="module")
def client(folder):
    with TestClient(create_app(folder, ServeConfig(rotate_s=0.1, unshown_share=1.0, runtime="torch"))) as client:
        yield client


def at(template, one):
    return template.format(quote(one, safe=""))


@pytest.mark.parametrize("one", IDS, ids=range(len(IDS)))
def test_what_is_plain_text_is_an_id_on_every_route(client, one):
    name = one[:200]
    put = {"item_id": one, "title": "Wool"}
    assert client.put("/v1/items", json=put).json()["stored"] == 1
    assert client.get(at("/v1/items/{}", one)).json()["item"]["item_id"] == one
    assert client.get(at("/v1/items/{}/similar", one)).json()["item_id"] == one
    page = client.post("/v1/recommend", json={"user_id": one, "request_id": name, "exclude": [one], "surface": name}).json()
    assert page["request_id"] == name
    told = bought(one, items(page)[0], event_id=one, request_id=name, session_id=one, query=one)
    assert client.post("/v1/events", json=told).json()["stored"] == 1
    assert client.post("/v1/events", json=bought(one, one, event_id=f"{one} 2")).json()["stored"] == 1
    assert client.get(at("/v1/explain/{}", name)).json()["user_id"] == one
    assert client.post("/v1/search", json={"query": one, "user_id": one, "personal": True}).status_code == 200
    assert client.get("/console/explorer", params={"user": one, "exclude": one}).status_code == 200
    assert client.delete(at("/v1/items/{}", one)).json() == {"item_id": one, "deleted": True, "known": False}
    assert client.delete(at("/v1/users/{}", one)).json()["in_build"] is False
    assert client.get(at("/v1/explain/{}", name)).status_code == 404, "they were forgotten"
    assert client.post(at("/v1/generations/{}/shadow", one)).status_code in (404, 405, 409, 422)


@pytest.mark.parametrize("one", CONTROLS, ids=range(len(CONTROLS)))
def test_control_characters_are_refused_where_they_would_be_kept_and_found_nowhere_else(client, one):
    for path, body, field in (
        ("recommend", {"user_id": one}, "user_id"),
        ("recommend", {"user_id": "c1", "request_id": one}, "request_id"),
        ("recommend", {"user_id": "c1", "exclude": ["p1", one]}, "exclude.1"),
        ("recommend", {"user_id": "c1", "surface": one}, "surface"),
        ("events", bought(one, "p1"), "user_id"),
        ("events", [bought("c1", "p1"), bought("c1", one)], "1.item_id"),
        ("events", bought("c1", "p1", event_id=one), "event_id"),
        ("events", bought("c1", "p1", request_id=one), "request_id"),
        ("events", bought("c1", "p1", session_id=one), "session_id"),
        ("events", bought("c1", "p1", undoes=one), "undoes"),
        ("search", {"query": "wool", "user_id": one}, "user_id"),
    ):
        refused = client.post(f"/v1/{path}", json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert client.put("/v1/items", json={"item_id": one}).json()["error"]["field"] == "item_id"
    for path in ("/v1/items/{}", "/v1/items/{}/similar", "/v1/explain/{}"):
        answer = client.get(at(path, one))
        assert answer.status_code == 404
        assert "x-told" not in answer.headers
    assert client.delete(at("/v1/items/{}", one)).status_code in (200, 404, 422)
    assert client.delete(at("/v1/users/{}", one)).status_code in (200, 422)
    assert client.get("/console/explorer", params={"user": one}).status_code == 200


def test_nothing_of_them_became_a_path(client, folder):
    """Whatever was sent above."""
    assert {path.name for path in folder.parent.iterdir()} == {"run"}
    names = {path.name for path in folder.rglob("*")}
    assert not [name for name in names if "escaped" in name or "passwd" in name or name in ("*", "-rf", ".hidden")]
    logged = sorted((folder / "served").glob("*/*/*.parquet"))
    assert all(path.stem.isdigit() for path in logged)


def test_routes_are_counted_by_the_names_of_their_parts(client):
    client.get("/v1/items/a%2Fb/similar")
    told = client.get("/metrics").text
    assert 'route="/v1/items/{item_id}/similar"' in told
    assert "any_id" not in told
