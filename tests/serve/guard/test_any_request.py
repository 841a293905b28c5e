"""Whatever fits the OpenAPI, or does not, is answered without a failure of ours; also without a key, and with one too narrow."""

import json
import shutil
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode, openapi
from schemathesis.core import NOT_SET

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.guard.keys import add_key
from tests.serve.guard.asking import ask

EXAMPLES = 5


@pytest.fixture(scope="module")
def app(run, tmp_path_factory):
    folder = shutil.copytree(run, tmp_path_factory.mktemp("any") / "run", ignore=shutil.ignore_patterns("served"))
    app = create_app(folder, ServeConfig(min_free_mb=0.0))
    yield app
    app.state.serving.close()


def sent(app, case, key=None):
    """A generated case, as a server would hand it on."""
    body = b"" if case.body is NOT_SET else case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    headers = {name: value for name, value in (case.headers or {}).items() if value.isascii() and value.isprintable()}
    headers |= {"content-type": "application/json", "content-length": str(len(body))} if body else {}
    headers |= {} if key is None else {"x-api-key": key}
    path = unquote(quote(case.formatted_path, safe="/%", errors="replace"), errors="replace")
    query = urlencode(case.query or {}, doseq=True, errors="replace").encode()
    return ask(app, case.method, path, headers, [body], query=query)


def cases(operation, mode):
    drawn: list[Case[Any]] = []

    @settings(
        max_examples=EXAMPLES, database=None, derandomize=True, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def draw(case):
        drawn.append(case)

    try:
        draw()
    except Unsatisfiable:  # an operation that takes nothing can't be asked otherwise
        return []
    return drawn


def every_operation(app):
    found = [one.ok() for one in openapi.from_dict(app.openapi()).get_all_operations()]  # type: ignore[union-attr]
    assert None not in found, "the description is one that tools can read"
    return found


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as written", "otherwise"])
def test_nothing_fails(app, mode):
    """EXAMPLES of each operation; an answer of ours is never a 5xx, and an error names its field."""
    operations = every_operation(app)
    assert {one.label for one in operations} >= {"POST /v1/recommend", "POST /v1/events", "GET /v1/explain/{request_id}"}
    asked, failed = 0, []
    for operation in operations:
        for case in cases(operation, mode):
            answer, asked = sent(app, case), asked + 1
            told = str(answer.status) in operation.definition.raw["responses"]
            if not told or answer.status >= 500 or (answer.status >= 400 and "field" not in answer.error):
                failed.append((operation.label, answer.status, case.formatted_path, repr(case.body)[:300], answer.body[:300]))
    assert failed == []
    assert asked >= EXAMPLES * len(operations) / 2


def test_without_the_right_key_every_operation_says_so(app):
    """On the app of the test above: keys are asked for as soon as there is one."""
    narrow = add_key(app.state.serving.folder, "narrow", ["admin"])
    for operation in every_operation(app):
        method, _, path = operation.label.partition(" ")
        at = path.replace("{", "").replace("}", "")
        statuses = [ask(app, method, at, headers).status for headers in ({}, {"X-API-Key": "hr_x"}, {"X-API-Key": narrow})]
        if path in ("/healthz", "/readyz"):
            assert statuses == [200] * 3, path
        else:
            assert statuses[:2] == [401, 401], path
            assert statuses[2] == 403 or "users" in path or "generations" in path or "experiment" in path, path


def test_with_a_key_of_all_scopes_every_operation_is_let_in(app):
    whole = add_key(app.state.serving.folder, "whole", ["read", "write", "admin"])
    for operation in every_operation(app):
        answers = [sent(app, case, whole).status for case in cases(operation, GenerationMode.POSITIVE)[:2]]
        assert not {401, 403} & set(answers), operation.label
        assert all(status < 500 for status in answers), operation.label
