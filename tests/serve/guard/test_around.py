"""All guards round all routes, in process."""

import asyncio
import re
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.guard.keys import add_key
from headrace.serve.guard.scopes import ANY, RULES, scope_of
from tests.serve.guard.asking import ask, asked, scope

BODY = {"content-type": "application/json", "content-length": "1"}


@pytest.fixture(scope="module")
def app(run, tmp_path_factory):
    folder = shutil.copytree(run, tmp_path_factory.mktemp("around") / "run", ignore=shutil.ignore_patterns("served"))
    app = create_app(folder, ServeConfig(cors_origins=("https://shop.example",)))
    yield app
    app.state.serving.close()


@pytest.fixture(scope="module")
def secret(app):
    return add_key(app.state.serving.folder, "website", ["read"])


def routes(within):
    for one in within:
        if getattr(one, "path", None) is not None:
            yield from ((method, one.path) for method in one.methods)
        else:
            yield from routes(one.original_router.routes)


def test_every_route_has_a_scope(app):
    """A route that this names wants a line in `guard.scopes`: until then no key opens it."""
    found = list(routes(app.routes))
    assert len(found) > 8
    for method, path in found:
        rule, scope = scope_of(method, re.sub(r"\{\w+(:\w+)?\}", "x", path))
        assert scope != ANY, f"{method} {path}"
        assert rule == re.sub(r":\w+\}", "}", path) or path.startswith("/console"), f"{method} {path} goes by {rule}"


def test_every_scope_has_a_route(app):
    there = {path for _, path in routes(app.routes)}
    assert [rule.path for rule in RULES if rule.path not in there and not rule.path.startswith("/console")] == []
    assert len(RULES) == len({(rule.methods, rule.path) for rule in RULES}), "which of two would hold?"


def test_a_request_passes_all_guards(app, secret):
    body = b'{"user_id": "c1"}'
    headers = {**BODY, "Authorization": f"Bearer {secret}", "X-Request-ID": "mine"}
    answer = ask(app, "POST", "/v1/recommend", headers, [body])
    assert answer.status == 200
    assert (answer.headers["x-request-id"], answer.headers["x-content-type-options"]) == ("mine", "nosniff")
    assert b'"degraded":[]' in answer.body
    within = ask(app, "POST", "/v1/recommend", headers, [b'{"user_id": "c1", "deadline_ms": 0.001}'])
    assert within.status == 200
    assert b'"degraded":["retrieve.' in within.body
    assert ask(app, "POST", "/v1/recommend", BODY, [body]).status == 401
    assert ask(app, "POST", "/v1/events", headers, [b"[]"]).status == 403
    assert ask(app, "GET", "/console", headers).status == 403
    deep = ask(app, "POST", "/v1/recommend", headers, [b"[" * 100_000])
    assert (deep.status, deep.error["field"]) == (422, "body")
    text = app.state.serving.metrics.text().decode()
    for status in ("200", "401", "422"):
        assert f'headrace_requests_total{{route="/v1/recommend",status="{status}"}}' in text


def test_other_origins_only_where_they_are_named(app):
    asks = {"Access-Control-Request-Method": "POST", "Origin": "https://shop.example"}
    allowed = ask(app, "OPTIONS", "/v1/recommend", asks)
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    other = ask(app, "OPTIONS", "/v1/recommend", {**asks, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    assert ask(app, "POST", "/v1/recommend", {**BODY, "Origin": "https://evil.example"}, [b"{}"]).status == 403


def test_a_resent_request_repeats_what_was_left_out(app, secret):
    headers = {**BODY, "X-API-Key": secret}
    first, again = (
        ask(app, "POST", "/v1/recommend", headers, [f'{{"user_id": "c2", "request_id": "late", "deadline_ms": {ms}}}'.encode()])
        for ms in (0.001, 60_000)
    )
    pages = [re.sub(rb'"latency_ms":[\d.]+', b"", one.body) for one in (first, again)]
    assert pages[0] == pages[1]
    assert b'"rank"]' in first.body
    told = ask(app, "GET", "/v1/explain/late", headers)
    assert b"there was no time for" in told.body


def test_defaults_bound_what_comes_in():
    settings = ServeConfig()
    assert settings.cors_origins == ()
    assert settings.body_mb <= 10
    assert replace(settings, waiting=1).waiting == 1


def test_ten_times_too_many_are_shed_and_the_next_one_is_answered(app, secret):
    most = app.state.serving.settings.waiting
    headers = {**BODY, "X-API-Key": secret}

    async def flood():
        asks = (asked(app, scope("POST", headers=headers), [f'{{"user_id": "c{n}"}}'.encode()]) for n in range(10 * most))
        return await asyncio.gather(*asks)

    answers = asyncio.run(flood())
    statuses = Counter(one.status for one in answers)
    assert statuses.keys() == {200, 503}
    assert statuses[200] >= most
    assert all("retry-after" in one.headers for one in answers if one.status == 503)
    assert ask(app, "POST", "/v1/recommend", headers, [b'{"user_id": "c1"}']).status == 200
