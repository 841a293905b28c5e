"""What stands before the routes, told in the OpenAPI: keys with their scopes, and the answers that middlewares give.

    401 403          keys and their scopes, from the one table of them (`guard/scopes.py`); 403 also for other sites' pages
    400 408 413      of routes that take a body         422       what can't be used, in the form of every error here
    429 503 507      with Retry-After                   500       whatever nobody foresaw

An operation's id is its route's name, whatever the path: clients are made by it. A route's own word for a status stands; what it
does not say is filled in. Names of scopes stand beside the schemes, as OpenAPI 3.1 has it for schemes that are not OAuth's.
"""

import re
from collections.abc import Iterator
from threading import Lock
from typing import Any

from fastapi import FastAPI

from headrace.serve.guard.scopes import scope_of

Schema = dict[str, Any]
SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY. headrace keys add makes keys."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in a header of its own."},
    "password": {"type": "http", "scheme": "basic", "description": "For browsers: the key is the password, whatever the name."},
}
_FAILED: Schema = {"application/json": {"schema": {"$ref": "#/components/schemas/Failed"}}}
_AFTER: Schema = {"Retry-After": {"description": "Seconds after which to come again.", "schema": {"type": "integer"}}}
_HOW: Schema = {"WWW-Authenticate": {"description": "Bearer, or Basic with the key as password.", "schema": {"type": "string"}}}
_OF_FRAMEWORK = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> None:
    """From now on `app.openapi()` tells them too."""
    plain, lock = app.openapi, Lock()

    def whole() -> Schema:
        with lock:
            return app.openapi_schema or described(plain())

    app.openapi = whole  # type: ignore[method-assign]


def described(spec: Schema) -> Schema:
    """The same mapping, filled in."""
    for path, methods in spec["paths"].items():
        for method, one in methods.items():
            for status, answer in _answers(method.upper(), path, one):
                known = one["responses"].get(status)
                if known is None or _framework(known):
                    one["responses"][status] = answer
                elif "headers" in answer:
                    known.setdefault("headers", answer["headers"])
            one["responses"] = dict(sorted(one["responses"].items()))
            needs = needed(method, path)
            one["operationId"] = _name(one.get("operationId", ""), method, path)
            one["security"] = [] if needs is None else [*({name: [needs]} for name in SCHEMES), {}]
    parts = spec.setdefault("components", {})
    parts["securitySchemes"] = SCHEMES
    for name in _OF_FRAMEWORK:
        parts.get("schemas", {}).pop(name, None)
    return spec


def needed(method: str, path: str) -> str | None:
    """The scope of a route as the OpenAPI writes it; None where whoever asks is answered."""
    return scope_of(method.upper(), path.replace("{", "").replace("}", ""))[1]


def _name(whole: str, method: str, path: str) -> str:
    """The route's own, without the path and the method that FastAPI adds: what generated clients call it."""
    return whole.removesuffix(re.sub(r"\W", "_", path) + f"_{method}")


def _answers(method: str, path: str, one: Schema) -> Iterator[tuple[str, Schema]]:
    needs, takes = needed(method, path), "requestBody" in one
    if takes:
        yield "400", _answer("The body can't be read as text")
    if needs is not None:
        yield "401", _answer("The server asks for keys, and none that it knows was sent", _HOW)
        page = "" if method == "GET" else ", or a page of another site asks"
        yield "403", _answer(f"The key has not the scope {needs}{page}")
    if takes:
        yield "408", _answer("The body was not there in time")
        yield "413", _answer("The body is longer than the server takes")
    if takes or one.get("parameters"):
        yield "422", _answer("Which field can't be used, and why")
    if needs is not None:
        yield "429", _answer("More requests a second than this caller may send", _AFTER)
        yield "503", _answer("Not now: too many wait, the server stops, or its state is out of reach", _AFTER)
    if needs == "write" or path.startswith("/v1/users"):
        yield "507", _answer("The server has no room for it", _AFTER)
    yield "500", _answer("The server failed; its log says why, under the answer's X-Request-ID")


def _answer(says: str, headers: Schema | None = None) -> Schema:
    return {"description": says, "content": _FAILED} | ({"headers": headers} if headers else {})


def _framework(answer: Schema) -> bool:
    """FastAPI's own form of a 422, which no answer of ours has."""
    return any(name in str(answer.get("content")) for name in _OF_FRAMEWORK)
