"""The client against a transport that answers what a test wants."""

import subprocess
import sys
from datetime import UTC, datetime
from urllib.parse import unquote

import httpx
import pytest

from headrace.client.asked import Event
from headrace.client.calls import Client
from headrace.client.failures import Broken, Busy, Failure, NotAllowed, NotThere, Refused, Unreachable

PAGE = {"request_id": "r", "generation": "g", "policy_deterministic": True, "items": [], "latency_ms": 1.0}
AT = datetime(2026, 1, 1, tzinfo=UTC)


def client(*answers, **settings):
    """Answers in turn; what was asked and how long was waited."""
    left, asked = list(answers), list[httpx.Request]()
    waited: list[float] = []

    def answer(request):
        asked.append(request)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return Client("http://shop", http=http, wait=waited.append, **settings), asked, waited


def failed(status, field="user_id", message="is wrong.", **headers):
    return httpx.Response(status, json={"error": {"field": field, "message": message}}, headers=headers)


@pytest.mark.parametrize("name", [".", "..", "../users/eve", "a b/?#%", "..."])
def test_an_id_is_one_part_of_a_path_whatever_it_is(name):
    shop, asked, _ = client(httpx.Response(200, json={"item_id": name, "deleted": True, "known": False}))
    assert shop.delete_item(name).item_id == name
    *before, last = asked[0].url.raw_path.decode().split("/")
    assert before == ["", "v1", "items"]
    assert unquote(last) == name


def test_a_call_carries_key_id_and_what_was_given():
    shop, asked, _ = client(httpx.Response(200, json=PAGE), key="hr_secret")
    page = shop.recommend("eve", n=5, exclude=["tea"])
    (sent,) = asked
    assert (page.request_id, page.items, page.degraded) == ("r", [], [])
    assert sent.headers["Authorization"] == "Bearer hr_secret"
    assert sent.headers["X-Request-ID"]
    assert b'"n":5' in sent.content
    assert b'"request_id":"' in sent.content, "so that it may be sent again"
    assert b"preference" not in sent.content


def test_a_refusal_says_field_message_status_and_id_and_no_key():
    shop, asked, _ = client(failed(422, **{"X-Request-ID": "i-1"}), key="hr_secret")
    with pytest.raises(Refused) as caught:
        shop.recommend("eve")
    error = caught.value
    assert (error.status, error.field, error.says, error.request_id) == (422, "user_id", "is wrong.", "i-1")
    assert len(asked) == 1
    assert "hr_secret" not in str(error) + repr(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAllowed),
        (403, NotAllowed),
        (404, NotThere),
        (413, Refused),
        (422, Refused),
        (408, Busy),
        (507, Broken),
        (500, Broken),
    ],
)
def test_what_is_raised_says_whose_turn_it_is(status, kind):
    shop, _, _ = client(*[failed(status) for _ in range(4)])
    with pytest.raises(Failure) as caught:
        shop.explain("r")
    assert type(caught.value) is kind
    assert isinstance(caught.value, Refused) == (status < 500 and status != 408)


def test_what_is_busy_is_asked_again_when_it_says():
    shop, asked, waited = client(failed(503, **{"Retry-After": "3"}), failed(429), httpx.Response(200, json=PAGE))
    shop.recommend("eve")
    assert waited[0] == 3
    assert 0.1 <= waited[1] <= 0.2
    assert asked[0].content == asked[1].content == asked[2].content
    assert len({one.headers["X-Request-ID"] for one in asked}) == 1


def test_it_gives_up_after_its_attempts_or_when_the_wait_is_beyond_its_patience():
    shop, asked, _ = client(*[failed(503) for _ in range(4)])
    with pytest.raises(Busy):
        shop.health()
    assert len(asked) == 4
    shop, asked, waited = client(failed(429, **{"Retry-After": "60"}), patience_s=30)
    with pytest.raises(Busy) as caught:
        shop.health()
    assert (len(asked), waited, caught.value.retry_after_s) == (1, [], 60)


@pytest.mark.parametrize("trouble", [failed(503), httpx.ReadTimeout("late"), httpx.ConnectError("refused")])
def test_events_go_again_only_where_each_has_an_id(trouble):
    named, nameless = (Event(user_id="eve", item_id="tea", at=AT, event_id=one) for one in ("e-1", None))
    stored = httpx.Response(200, json={"stored": 2, "repeated": 0})
    shop, asked, _ = client(trouble, stored)
    assert shop.events([named, named]).stored == 2
    assert len(asked) == 2
    assert b'"at":"2026-01-01T00:00:00Z"' in asked[0].content
    shop, asked, _ = client(trouble, stored)
    with pytest.raises((Busy, Unreachable)):
        shop.events([named, nameless])
    assert len(asked) == 1


def test_no_answer_says_under_which_id_it_was_sent():
    shop, asked, _ = client(*[httpx.ConnectError("refused")] * 2, attempts=2)
    with pytest.raises(Unreachable, match="ConnectError refused") as caught:
        shop.ready()
    assert caught.value.request_id == asked[0].headers["X-Request-ID"]


def test_answers_of_others_are_no_answers():
    shop, *_ = client(httpx.Response(502, text="<html>"), httpx.Response(200, json={"items": 3}))
    with pytest.raises(Broken, match="not in the form"):
        shop.health()
    with pytest.raises(Refused, match="another version"):
        shop.recommend("eve")


def test_a_server_that_is_not_ready_is_an_answer():
    reasons = {"ready": False, "generation": "g", "reasons": ["the disk is full"]}
    shop, asked, _ = client(httpx.Response(503, json=reasons))
    assert shop.ready().reasons == ["the disk is full"]
    assert len(asked) == 1


def test_a_further_field_of_a_newer_server_is_passed_over():
    shop, *_ = client(httpx.Response(200, json={**PAGE, "mood": "good"}))
    assert shop.recommend("eve").generation == "g"


def test_it_loads_neither_torch_nor_the_server():
    code = "import sys, headrace.client.calls; print(*sorted({'torch', 'fastapi', 'numpy', 'headrace.serve'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
