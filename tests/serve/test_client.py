"""The typed client against the server it is made for: in the process, and once against one that was started."""

import inspect
import shutil
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from headrace.client.answers import Page, Received
from headrace.client.asked import Event
from headrace.client.calls import Client
from headrace.client.connection import Connection
from headrace.client.failures import Refused
from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.bench.started import started
from headrace.serve.guard.keys import add_key

AT = datetime(2025, 1, 1, 10, tzinfo=UTC)


class InProcess:
    """An app in the process waits for nothing, and takes no time limit."""

    def __init__(self, http):
        self.http = http

    def request(self, *what, timeout, **more):
        return self.http.request(*what, **more)


@pytest.fixture(scope="module")
def app(run, tmp_path_factory):
    mine = tmp_path_factory.mktemp("client") / "run"
    shutil.copytree(run, mine, ignore=shutil.ignore_patterns("served", "keys.json"))
    secret = add_key(mine, "all", ["read", "write", "admin"])
    with TestClient(create_app(mine, ServeConfig())) as http:
        yield http, secret, add_key(mine, "reader", ["read"])


@pytest.fixture
def shop(app):
    http, secret, _ = app
    return Client("http://testserver", secret, http=InProcess(http))


def test_every_route_is_a_call(app):
    http, secret, _ = app
    paths = http.get("/openapi.json", headers={"X-API-Key": secret}).json()["paths"]
    routes = sum(len(methods) for path, methods in paths.items() if not path.startswith("/console"))
    calls = [name for name, _ in inspect.getmembers(Client, inspect.isfunction) if name not in dir(Connection)]
    assert len(calls) == routes


def test_a_page_is_given_explained_and_changed_by_an_event(shop):
    page = shop.recommend("c1", n=2)
    assert isinstance(page, Page)
    assert [one.position for one in page.items] == [1, 2]
    assert [one.item_id for one in shop.explain(page.request_id).items] == [one.item_id for one in page.items]
    bought = Event(user_id="c1", item_id=page.items[0].item_id, at=AT, kind="view", event_id="client-1")
    assert shop.events([bought]) == Received(stored=1, repeated=0)
    assert shop.events(bought) == Received(stored=0, repeated=1)
    assert page.items[0].item_id not in [one.item_id for one in shop.recommend("c1").items]


def test_an_item_is_put_found_and_deleted(shop):
    assert shop.put_items({"item_id": "new/one", "title": "quiet zebra socks"}).stored == 1
    assert "new/one" in [one.item_id for one in shop.search("zebra").items]
    assert shop.get_item("new/one").item["title"] == "quiet zebra socks"
    assert shop.similar_items("p1", n=3).items
    assert shop.delete_item("new/one").deleted
    assert "new/one" not in [one.item_id for one in shop.search("zebra").items]


def test_a_user_is_forgotten(shop):
    shop.events(Event(user_id="leaver", item_id="p1", at=AT, kind="view", event_id="client-2"))
    assert shop.forget("leaver").removed
    assert shop.events(Event(user_id="leaver", item_id="p1", at=AT, kind="view", event_id="client-3")).erased == 1


def test_it_tells_how_the_server_is(shop):
    assert shop.ready().ready
    assert shop.health()["generation"] == shop.ready().generation
    assert "headrace_stage_seconds" in shop.metrics()
    assert shop.generations().serving == shop.generations().generations[0].number
    assert shop.experiments() == []


def test_a_mistake_is_raised_with_its_field(shop):
    with pytest.raises(Refused, match="4 slots") as caught:
        shop.recommend("c1", n=50)
    assert (caught.value.field, caught.value.status) == ("n", 422)
    assert len(caught.value.request_id) == 32


def test_keys_open_what_they_are_for(app):
    http, _, reader = app
    assert Client("http://testserver", reader, http=InProcess(http)).recommend("c1").items
    for key, status in ((None, 401), ("hr_wrong", 401), (reader, 403)):
        with pytest.raises(Refused) as caught:
            Client("http://testserver", key, http=InProcess(http)).forget("c1")
        assert (caught.value.status, caught.value.field) == (status, "key")


def test_it_asks_a_server_over_the_network(run):
    with started(run) as server, Client(server.url) as shop:
        assert shop.ready().ready
        assert len(shop.recommend("c1").items) == 4
