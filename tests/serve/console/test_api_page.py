import json
import re
import shutil

import pytest
from fastapi.testclient import TestClient

from headrace.serve.api.described import needed
from headrace.serve.app import create_app
from headrace.serve.console.api_told import Pages
from headrace.serve.console.view import ticked
from headrace.serve.guard.keys import add_key
from tests.serve.console.hostile import SCRIPT
from tests.serve.console.markup import check_harmless


@pytest.fixture(scope="module")
def spec(client):
    return client.get("/openapi.json").json()


@pytest.fixture(scope="module")
def told(spec):
    return [one for group in Pages(spec, "http://shop/").groups() for one in group.routes]


def test_every_route_every_field_and_every_answer_is_on_the_page(client, spec):
    found = check_harmless(client.get("/docs").text)
    routes = {one["data-route"] for one in found.all("details") if "data-route" in one}
    assert routes == {f"{method.upper()} {path}" for path, methods in spec["paths"].items() for method in methods}
    for name, schema in spec["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert field in found.text
        if schema.get("properties"):
            assert f"schema-{name}" in {one.get("id") for one in found.all("section")}
    ids = [one["id"] for _, one in found.tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert {one["href"][1:] for one in found.all("a") if one["href"].startswith("#")} <= set(ids)
    for status in ("401", "403", "408", "413", "429", "503"):
        assert status in found.text
    assert "Retry-After" in found.text
    labelled = {one["for"] for one in found.all("label")}
    assert {one["id"] for name in ("input", "textarea") for one in found.all(name)} <= labelled


def test_what_stands_in_a_form_is_answered_as_it_is(client, told):
    """Each example that changes nothing lasting, sent as the page would send it."""
    tried = 0
    for one in told:
        if one.example and one.needs == "read":
            answer = client.request(one.method, one.path, content=one.example, headers={"Content-Type": "application/json"})
            assert answer.status_code == 200, (one.path, answer.text)
            tried += 1
    assert tried == 2
    events = next(one for one in told if one.path == "/v1/events")
    assert json.loads(events.example).keys() == {"user_id", "item_id", "at"}


def test_a_type_is_said_and_leads_to_its_schema(told):
    (page,) = [one for one in told if one.path == "/v1/recommend"]
    fields = {one.name: one for one in page.fields}
    assert (fields["user_id"].kind, fields["user_id"].required) == ("text", True)
    assert (fields["filters"].kind, fields["filters"].schema) == ("map[Wanted] | null", "Wanted")
    assert fields["seed"].default == "0"
    assert fields["seed"].says.endswith("the request's id. (below 9,223,372,036,854,775,808)")
    assert page.body is not None
    assert page.body.schema == "Ask"
    assert page.answers[0].schema == "Page"
    assert page.curl.startswith("curl -X POST http://shop/v1/recommend")
    assert all(one.needs == needed(one.method, one.path) for one in told)


def test_kinds():
    pages = Pages({"paths": {}}, "")
    for schema, said in (
        ({"enum": ["a", 1]}, '"a" | 1'), ({"const": "a"}, '"a"'), ({"prefixItems": [{"type": "number"}] * 2}, "[number, number]"),
        ({"type": "string", "format": "date-time"}, "time"), ({"type": "object"}, "map"), ({}, "anything"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "map[true or false]"),
    ):  # fmt: skip
        assert pages.kind(schema) == said


def test_what_the_description_holds_is_text(client, monkeypatch):
    spec = json.loads(json.dumps(client.get("/openapi.json").json()))
    spec["paths"]["/v1/recommend"]["post"]["summary"] = SCRIPT
    spec["components"]["schemas"]["Ask"]["description"] = SCRIPT
    monkeypatch.setattr(client.app, "openapi", lambda: spec)
    answer = client.get("/docs", headers={"Host": 'x"><script>alert(1)</script>'})
    assert "<script>document" not in answer.text
    assert "<script>alert" not in answer.text
    assert SCRIPT in check_harmless(answer.text).text


def test_a_key_to_read_opens_it_and_nothing_of_others_is_loaded(hostile_run, tmp_path):
    run = shutil.copytree(hostile_run, tmp_path / "run", ignore=shutil.ignore_patterns("served"))
    keys = {scope: add_key(run, scope, [scope]) for scope in ("read", "write")}
    with TestClient(create_app(run)) as client:
        assert client.get("/docs").status_code == 401
        assert client.get("/docs", auth=("any", keys["write"])).status_code == 403
        page = client.get("/docs", auth=("any", keys["read"]))
        assert page.status_code == 200
        for address in re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text):
            assert client.get(address).status_code == 200  # a file of the package holds nothing of the run's
        assert client.get("/console/static/none.js").status_code == 404
        assert client.get("/redoc", auth=("any", keys["read"])).status_code == 404
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", page.text)


def test_what_stands_between_backticks_is_code_and_nothing_else_is_markup():
    assert ticked("`at` <b>& `x") == "<code>at</code> &lt;b&gt;&amp; <code>x</code>"
    assert ticked("plain") == "plain"
