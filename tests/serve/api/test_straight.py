"""The shorter way to a route answers what the framework's way answers, whatever is sent."""

import json
from typing import Any

import pytest
from fastapi import FastAPI, Response
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.serve.api.failures import handle_failures
from headrace.serve.api.straight import Straight
from headrace.serve.messages import Ask, Refused
from tests.serve.guard.asking import ask

JSON = {"content-type": "application/json", "content-length": "1"}


def made(*, straight: bool) -> tuple[FastAPI, list[Any]]:
    """An app, and what its short way answered."""
    app, taken = FastAPI(), list[Any]()

    async def answer(sent: Ask) -> Response:
        if sent.n == 7:
            raise Refused("n", "is 7.", status=409)
        return Response(sent.model_dump_json(), media_type="application/json")

    async def noted(sent: Ask) -> Response:
        taken.append(sent)
        return await answer(sent)

    app.add_api_route("/ask", answer, methods=["POST"])
    handle_failures(app)
    if straight:
        app.router.routes.insert(0, Straight("/ask", Ask, noted, app.router))
    return app, taken


FRAMEWORK, (SHORT, TAKEN) = made(straight=False)[0], made(straight=True)
anything = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text()
fields = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.text(min_size=1, max_size=3) | anything, "n": st.integers(1, 9) | anything, "seed": anything,
        "exclude": st.lists(anything, max_size=2), "deadline_ms": anything, "more": anything,
        "filters": st.dictionaries(
            st.text(max_size=2),
            st.fixed_dictionaries({}, optional={"any": st.lists(anything, max_size=2), "min": anything, "max": anything}),
            max_size=2,
        ),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(sent=fields)
def test_what_is_sent_is_read_as_the_framework_reads_it(sent):
    body = json.dumps(sent).encode()
    assert ask(SHORT, "POST", "/ask", JSON, [body]) == ask(FRAMEWORK, "POST", "/ask", JSON, [body])


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b'{"user_id": "u",}', b'\xef\xbb\xbf{"user_id": "u"}', '{"user_id": "u"}'.encode("utf-16"),
        b'{"user_id": "\xff"}', b'{"user_id": "\\ud800"}', b'{"user_id": "u", "user_id": "v"}', b'{"user_id": "u", "n": NaN}',
        b'{"user_id": "u"} {}', b'{"user_id": "u", "seed": 1' + b"0" * 5000 + b"}", b'{"user_id": "u", "n": 7}',
    ],
)  # fmt: skip
def test_what_is_no_such_message_is_refused_in_the_same_form(body):
    assert ask(SHORT, "POST", "/ask", JSON, [body]) == ask(FRAMEWORK, "POST", "/ask", JSON, [body])


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", "Application/JSON", ""])
def test_other_media_types_go_the_long_way(kind):
    TAKEN.clear()
    headers = {**JSON, "content-type": kind}
    assert ask(SHORT, "POST", "/ask", headers, [b'{"user_id": "u"}']) == ask(
        FRAMEWORK, "POST", "/ask", headers, [b'{"user_id": "u"}']
    )
    assert TAKEN == []


def test_what_can_be_read_goes_the_short_way_in_parts_too():
    TAKEN.clear()
    answer = ask(SHORT, "POST", "/ask", JSON, [b'{"user_id"', b': "u"}'])
    assert (answer.status, json.loads(answer.body)["user_id"]) == (200, "u")
    assert [Ask.model_validate({"user_id": "u"})] == TAKEN


def test_other_methods_and_paths_are_not_its():
    for method, path in (("GET", "/ask"), ("POST", "/asked"), ("PUT", "/ask")):
        assert ask(SHORT, method, path, JSON, [b"{}"]).status in (404, 405)
