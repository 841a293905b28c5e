"""What the OpenAPI says of answers that no route gives: checked against the answers, and against the table of scopes."""

import shutil
from typing import Any

import pytest

from headrace.contracts.serving import ServeConfig
from headrace.serve.api.described import SCHEMES, described, needed
from headrace.serve.app import create_app
from headrace.serve.guard.keys import add_key
from tests.serve.guard.asking import ask

LONG = b'{"user_id": "' + b"x" * 20_000 + b'"}'
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def app(run, tmp_path_factory):
    """Keys are asked for, bodies are short and early, and a caller may ask three times."""
    folder = shutil.copytree(run, tmp_path_factory.mktemp("told") / "run", ignore=shutil.ignore_patterns("served"))
    keys = {scope: add_key(folder, scope, [scope]) for scope in ("read", "write", "admin")}
    app = create_app(folder, ServeConfig(body_mb=0.01, read_s=0.05, rate_per_s=0.001, rate_burst=3, min_free_mb=0.0))
    app.state.keys = keys
    yield app
    app.state.serving.close()


def operations(spec):
    return [(method.upper(), path, one) for path, methods in spec["paths"].items() for method, one in methods.items()]


def test_every_route_tells_what_may_come_in_its_stead(app):
    spec = app.openapi()
    assert app.openapi() is spec
    for method, path, one in operations(spec):
        told, needs = one["responses"], needed(method, path)
        assert {"500"} < told.keys()
        assert ({"401", "403", "429", "503"} <= told.keys()) == (needs is not None)
        assert ({"400", "408", "413"} <= told.keys()) == ("requestBody" in one)
        assert list(told) == sorted(told)
        for status in {"429", "503", "507"} & told.keys():
            if needs is not None:
                assert told[status]["headers"]["Retry-After"]["schema"] == {"type": "integer"}
        assert "WWW-Authenticate" in told.get("401", {"headers": ["WWW-Authenticate"]})["headers"]
        asked = [scopes for kind in one["security"] for scopes in kind.values()]
        assert asked == ([] if needs is None else [[needs]] * 3)
    assert spec["paths"]["/readyz"]["get"]["responses"]["503"]["description"] == "It should not be asked, and why"
    assert spec["components"]["securitySchemes"] == SCHEMES
    assert "HTTPValidationError" not in str(spec)


def test_every_route_field_and_parameter_says_what_it_is(app):
    spec = app.openapi()
    names = [one["operationId"] for *_, one in operations(spec)]
    assert len(set(names)) == len(names)
    assert {"recommend", "put_items", "explain", "search", "end_shadow", "health"} <= set(names)
    parameters = [(path, told) for _, path, one in operations(spec) for told in one.get("parameters", ())]
    fields = [(f"{name}.{field}", told) for name, schema in spec["components"]["schemas"].items()
              for field, told in schema.get("properties", {}).items()]  # fmt: skip
    assert [where for where, told in (*parameters, *fields) if not told.get("description")] == []
    assert [name for name, schema in spec["components"]["schemas"].items() if not schema.get("description")] == []
    assert all(one["summary"] for *_, one in operations(spec))


@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/events"])
def test_answers_are_those_that_were_told(app, path):
    (method, one), *_ = app.openapi()["paths"][path].items()
    scope = needed(method, path)
    right, wrong = ({"X-API-Key": app.state.keys[name]} for name in (scope, "admin"))
    long, short = ({**right, **JSON, "content-length": str(length)} for length in (len(LONG), 2))

    def asked(headers: Any, chunks: Any = (b"{}",), **more: Any) -> Any:
        return ask(app, method.upper(), path, headers, chunks, **more)

    found = [
        asked(JSON), asked({**wrong, **JSON}), asked(short), asked(long, [LONG]), asked(short, pause_s=1.0), asked(short),
    ]  # fmt: skip
    assert [answer.status for answer in found] == [401, 403, 422, 413, 408, 429]
    assert "retry-after" in found[-1].headers
    assert "www-authenticate" in found[0].headers
    for answer in found:
        told = one["responses"][str(answer.status)]
        assert {name.lower() for name in told.get("headers", {})} <= answer.headers.keys()
        assert {"field", "message"} == answer.error.keys()


def test_a_route_s_own_word_stands():
    failed = {"description": "as the route says", "content": {}}
    wrong = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}}}
    route = {"responses": {"503": dict(failed), "422": wrong, "200": {}}, "requestBody": {}}
    spec: dict[str, Any] = {"paths": {"/v1/recommend": {"post": route}}, "components": {"schemas": {"HTTPValidationError": {}}}}
    told = described(spec)["paths"]["/v1/recommend"]["post"]["responses"]
    assert told["503"]["description"] == "as the route says"
    assert "Retry-After" in told["503"]["headers"]
    assert told["422"]["description"] == "Which field can't be used, and why"
    assert spec["components"]["schemas"] == {}
