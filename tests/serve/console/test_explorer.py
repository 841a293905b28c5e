"""The explorer against the API that answers: the same page, told in full, and no trace of its having been asked."""

from urllib.parse import urlencode

import pytest

from headrace.contracts.serving import ServeConfig
from headrace.serve.console.explored import REQUEST, ask, history, pictures, standing, users_like
from headrace.serve.console.explorer import Wish, answers_to, looked_at, read
from tests.serve.console.hostile import PICTURES, PREFERENCE, RING, TITLE, USER, item
from tests.serve.console.markup import check_harmless


@pytest.fixture(scope="module")
def service(client):
    return client.app.state.serving.service


def explored(client, **asked):
    answer = client.get(f"/console/explorer?{urlencode(asked)}")
    assert answer.status_code == 200
    return check_harmless(answer.text)


def counted(client):
    """Counters of answers: what the console's own pages count by is their routes."""
    lines = client.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith(("headrace_stage", "headrace_impressions", "headrace_events"))]


def test_it_shows_what_the_api_answers(client, service):
    asked = {"user_id": "u3", "seed": 5, "exclude": [item(2)], "preference": "wool"}
    given = client.post("/v1/recommend", json={**asked, "request_id": REQUEST, "surface": REQUEST}).json()["items"]
    told = ask(service, "u3", seed=5, exclude=[item(2)], preference="wool")
    assert [one.item_id for one in told.told.items] == [one["item_id"] for one in given]
    assert told.reasons == [one["reasons"] for one in given]
    assert [one.propensity for one in told.told.items] == [one["propensity"] for one in given]


def test_it_leaves_no_trace(client, service):
    before, recent = counted(client), len(service.shared.recent)
    explored(client, user="u2", preference="wool", seed="1")
    assert counted(client) == before
    assert len(service.shared.recent) == recent


def test_each_item_has_its_way_through_the_stages(client, service):
    told = ask(service, "u1", seed=0, exclude=[], preference="")
    assert {"prerank", "rank"} <= dict(told.handed_on).keys()
    found = explored(client, user="u1")
    for one in told.told.items:
        assert one.title in found.text
        assert [stage.stage for stage in one.stages][-2:] == ["prerank", "rank"]
        for stage in one.stages:
            assert f"{stage.rank} of {stage.of}" in found.text


def test_a_preference_is_answered_beside(client, service):
    moved = []
    for seed in range(8):  # a page is drawn by chance, so one may come out alike
        (_, plain), (_, wanted) = answers_to(service, Wish("u1", "wool", [], seed, []))
        assert "preference" in dict(wanted.handed_on)
        moved.append([one.item_id for one in plain.told.items] != [one.item_id for one in wanted.told.items])
    assert any(moved)
    found = explored(client, user="u1", preference="wool")
    assert "With the preference" in found.text
    assert 'preference: "wool" wanted' in found.text


def test_what_is_left_out_is_not_shown(client, service):
    first = ask(service, "u1", seed=0, exclude=[], preference="").told.items[0].item_id
    wish = Wish("u1", "", [], 0, [])
    page = client.get(wish.without(first))
    assert page.status_code == 200
    again = read(service, "u1", "", first, "0")
    assert first not in [one.item_id for _, answer in answers_to(service, again) for one in answer.told.items]


def test_the_history_is_the_state_s(client, service):
    known = history(service, "u1")
    assert [one.item_id for one in known] == [item((1 + step) % RING) for step in reversed(range(8))]
    assert all(one.title.startswith(one.item_id[1]) for one in known)
    new = {"event_id": "n1", "user_id": "u1", "item_id": item(11), "at": "2024-01-01T10:00:00Z", "kind": "view"}
    assert client.post("/v1/events", json=new).status_code == 200
    assert history(service, "u1")[0].item_id == item(11)
    assert "2024-01-01 10:00" in explored(client, user="u1").text


def test_a_newcomer_and_who_comes_near(client, service):
    found = explored(client, user="u")
    assert "answered as a newcomer" in found.text
    offered = [one["href"] for one in found.all("a") if one.get("href", "").startswith("/console/explorer?user=")]
    assert len([one for one in offered if "&" not in one]) == 12
    assert users_like(service, "u", 20)[:-1] == [f"u{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)]
    assert users_like(service, "u1", 2) == ["u1", "u10"]


def test_who_was_erased_is_not_offered_and_has_no_history(hostile_run, client, service):
    service.state.forget("u9")
    assert "u9" not in users_like(service, "u", 50)
    assert history(service, "u9") == []
    assert "erased" in standing(service, "u9", [])
    assert "was erased" in explored(client, user="u9").text


def test_who_does_not_consent_is_not_looked_at(service, monkeypatch):
    monkeypatch.setattr(service.impersonal, "holds", lambda user, at_us: user == "u4")
    assert history(service, "u4") == []
    assert "does not consent" in standing(service, "u4", [])
    assert ask(service, "u4", seed=0, exclude=[], preference="").told.reads_as == ""


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", str(2**63), "٣", ""])
def test_a_seed_that_is_none(service, seed):
    wish = read(service, "u1", "", "", seed)
    assert wish.seed == 0
    assert "whole number" in wish.trouble[0]


def test_too_long_and_unreadable(service, monkeypatch):
    assert "letters" in read(service, "u" * 10_001, "", "", "0").trouble[0]
    assert "letters" in read(service, "u", "w" * 200_001, "", "0").trouble[0]
    monkeypatch.setattr("headrace.serve.console.explorer.speaks", lambda _: False)
    wish = read(service, "u1", "wool", "", "0")
    assert wish.preference == ""
    assert "[features] item_vectors" in wish.trouble[0]


def test_pictures_are_https_or_none(client, service, monkeypatch):
    shown = pictures(service, [item(n) for n in range(RING)] + ["unknown"])
    assert set(shown.values()) == {PICTURES[0]}
    found = explored(client, user=USER, preference=PREFERENCE)
    images = found.all("img")
    assert images
    assert {one["src"] for one in images} == {PICTURES[0]}
    assert all(one["loading"] == "lazy" and one["alt"] == "" and one["referrerpolicy"] == "no-referrer" for one in images)
    monkeypatch.setattr(service, "settings", ServeConfig())
    assert pictures(service, [item(0)]) == {}
    assert "https:" not in client.get("/console").headers["content-security-policy"]


def test_a_title_and_a_user_stand_as_they_are(client, service):
    found = explored(client, user=USER)
    assert TITLE in found.text
    assert next(one for one in found.all("input") if one["id"] == "user")["value"] == USER


def test_nothing_is_left_to_show(client, service):
    everything = "\n".join(item(n) for n in range(RING))
    assert "Nothing can be shown" in explored(client, user="u1", exclude=everything).text


def test_codes_stand_where_items_have_them(client, service, monkeypatch):
    class Codes:
        def said(self, number: int) -> str:
            return f"1-{number} (<i>wool)"

    monkeypatch.setattr(service, "codes", Codes())
    shown = ask(service, "u1", seed=0, exclude=[], preference="").told.items
    found = explored(client, user="u1")
    assert all(f"Codes 1-{service.shelf.number(one.item_id)} (<i>wool)" in found.text for one in shown)


def test_without_a_user_there_are_some_to_choose(service):
    shown = looked_at(service, read(service, "  ", "", "", "0"))
    assert shown["offered"]
    assert shown["answers"] == []
