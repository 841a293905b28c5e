"""An item's page against the API that answers, and what is said of one that may not be shown."""

from urllib.parse import parse_qs, urlencode

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.console.item_told import chosen, facts, favourites, newest, told
from tests.serve.console.hostile import RING, SCRIPT, STEPS, TITLE, USERS, item, user
from tests.serve.console.markup import check_harmless


@pytest.fixture(scope="module")
def client(hostile_run, tmp_path_factory):
    """A server of its own, for items are put: a copy of links, without what others served."""
    run = tmp_path_factory.mktemp("items") / "run"
    run.mkdir()
    for one in hostile_run.iterdir():
        if one.name != "served":
            (run / one.name).symlink_to(one)
    with TestClient(create_app(run, ServeConfig(runtime="torch", console_images=True, reload_s=60.0))) as client:
        yield client


@pytest.fixture(scope="module")
def service(client):
    return client.app.state.serving.service


@pytest.fixture(scope="module", autouse=True)
def put(client):
    rows = [
        {
            "item_id": f"new{SCRIPT}",
            "title": f"made of wool {SCRIPT}",
            "text": "wool",
            "image": "https://pictures.example/new.png",
        },
        {"item_id": "strange", "title": "qwertz"},
        {"item_id": item(4), "available": False},
    ]
    assert client.put("/v1/items", json=rows).status_code == 200
    assert client.delete(f"/v1/items/{item(6)}").status_code == 200


def looked_at(client, asked):
    answer = client.get(f"/console/items?{urlencode({'item': asked})}")
    assert answer.status_code == 200
    assert "<script>document" not in answer.text
    return check_harmless(answer.text)


def links(found, page, name):
    """Whom links to a page ask for."""
    asked = [one["href"].partition("?")[2] for one in found.all("a") if one["href"].startswith(f"/console/{page}?")]
    return [value for one in asked for value in parse_qs(one)[name]]


def test_what_is_like_it_is_what_the_api_says(client, service):
    said = client.get(f"/v1/items/{item(2)}/similar?n=12").json()
    found = told(service, item(2))
    assert found is not None
    assert found.alike_by == said["by"]
    assert [(one, score) for one, _, score in found.alike] == [(one["item_id"], one["score"]) for one in said["items"]]
    page = looked_at(client, item(2))
    assert TITLE in page.text
    assert len(links(page, "items", "item")) == len(said["items"]) > 0


def test_who_chose_it_is_counted_and_led_to(client, service):
    """Each of the shop's users chose each item of the ring at most once."""
    whole = chosen(service, item(2))
    assert (whole.items, whole.times, whole.users) == (RING, STEPS * USERS // RING, STEPS * USERS // RING)
    assert whole.place == 1  # all alike
    assert whole.first_us <= whole.last_us == whole.lately[0][1]
    assert len(whole.lately) == whole.users
    assert [one for _, one in whole.lately] == sorted((one for _, one in whole.lately), reverse=True)
    assert [name for name, _ in whole.lately] == links(looked_at(client, item(2)), "explorer", "user")


def test_nobody_is_named_who_was_erased_or_does_not_consent(service, monkeypatch):
    before = [name for name, _ in chosen(service, item(2)).lately]
    erased, refusing = before[0], before[1]
    monkeypatch.setattr(service.state, "erased", lambda names: np.array([name == erased for name in names]))
    monkeypatch.setattr(service.impersonal, "holds", lambda name, _: name == refusing)
    assert [name for name, _ in chosen(service, item(2)).lately] == before[2:]


@pytest.mark.parametrize(
    ("item_id", "word", "says"),
    [
        (item(2), "may be shown", ""),
        (item(4), "withdrawn", '{"available": true}'),
        (item(6), "deleted", "PUT /v1/items brings it back"),
        (f"new{SCRIPT}", "may be shown, as a newcomer", "borrows the scores of the item most like it"),
        ("strange", "from the next build on", "its text is like that of no item"),
    ],
)
def test_it_says_whether_it_may_be_shown_and_why_not(client, service, item_id, word, says):
    found = told(service, item_id)
    assert found is not None
    assert found.standing.word == word
    assert says in found.standing.says
    page = looked_at(client, item_id)
    assert word in page.text
    assert says in page.text
    described = client.get(f"/v1/items/{item_id.replace('/', '%2F')}")
    may = described.status_code == 200 and described.json()["recommendable"]
    assert may == (found.standing.tone == "passed")


def test_a_newcomer_leads_to_its_twin_and_shows_its_picture(client, service):
    found = told(service, f"new{SCRIPT}")
    assert found is not None
    assert found.standing.twin is not None
    assert found.standing.twin[0] in {item(number) for number in range(RING)}
    page = looked_at(client, f"new{SCRIPT}")
    assert found.standing.twin[0] in links(page, "items", "item")
    assert next(one["src"] for one in page.all("img")) == "https://pictures.example/new.png"


def test_words_find_items_and_what_is_gone_is_found_by_its_id_alone(client):
    said = client.post("/v1/search", json={"query": "made of steel", "n": 30}).json()["items"]
    page = looked_at(client, "made of steel")
    assert len(links(page, "items", "item")) == len(said) > 0
    assert "No item has the id" in page.text
    gone = client.post("/v1/search", json={"query": f"{TITLE} 4", "n": 30}).json()["items"]
    assert not {item(4), item(6)} & {one["item_id"] for one in gone}
    assert "none that may be found fits" in looked_at(client, "zzzzzz").text


def test_without_a_question_it_offers_what_is_chosen_most_and_what_was_put_last(client, service):
    page = looked_at(client, "")
    best, last = favourites(service, 20), newest(service, 20)
    assert {item(4), item(6)} & {one for one, _, _ in best} == set()
    assert len(best) == RING - 2
    assert {one for one, _, _ in last} == {f"new{SCRIPT}", "strange", item(4)}
    assert len(links(page, "items", "item")) == len(best) + len(last)


def test_too_long_a_question_is_refused_in_words(client):
    page = client.get(f"/console/items?item={'x' * 10_001}")
    assert page.status_code == 200
    assert "10,001 letters: at most 10,000" in check_harmless(page.text).text


def test_an_item_of_the_explorer_leads_here(client):
    page = check_harmless(client.get(f"/console/explorer?{urlencode({'user': user(1)})}").text)
    led_to = links(page, "items", "item")
    assert len(led_to) > 4
    for one in led_to:
        assert "Known since" in client.get(f"/console/items?{urlencode({'item': one})}").text


def test_times_and_long_texts_are_told_as_people_read_them():
    row = {
        "item_id": "a",
        "title": "A",
        "available": True,
        "since": 1_700_000_000_000,
        "day": 19_675,
        "text": "x" * 3000,
        "price": 9.5,
    }
    schema = {"since": pl.Datetime("ms"), "day": pl.Date(), "text": pl.String(), "price": pl.Float64()}
    told = facts({**row, "categories": ["a", "b"], "locale": None}, schema)
    assert (told["since"], told["day"], told["price"], told["categories"]) == ("2023-11-14 22:13", "2023-11-14", "9.5", "a, b")
    assert told["text"].endswith("(3,000 letters)")
    assert told.keys() == {"since", "day", "text", "price", "categories"}
