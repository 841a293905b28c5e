"""A request that can't be used gets a status and the field that is wrong, whatever the route and whatever it takes."""

from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Tag
from starlette.exceptions import HTTPException
from starlette.routing import Match

from headrace.contracts.errors import listed, nearest
from headrace.serve.guard.scopes import NO_ROUTE
from headrace.serve.messages import Failed, Problem, Refused
from headrace.serve.state.database import Full
from headrace.serve.state.redis_server import Unavailable

PROBLEMS: dict[int | str, dict[str, Any]] = {422: {"model": Failed, "description": "Which field can't be used, and why"}}

_AS_JSON = "a body is taken as JSON. Send Content-Type: application/json (curl: -H 'content-type: application/json')."


def handle_failures(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def unusable(request: Request, error: RequestValidationError) -> JSONResponse:
        body = getattr(request.scope.get("route"), "body_field", None)
        expected = None if body is None else _annotation(body)
        if isinstance(error.body, bytes):  # parsed is what is said to be JSON, so that no form of another site's is
            said = request.headers.get("content-type", "")
            return _failed(Problem(field="content-type", message=f"{_as_sent(said)}: {_AS_JSON}"), 422)
        return _failed(first_problem(error, expected), 422)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return _failed(error.problem, error.status)

    @app.exception_handler(Full)
    async def full(_: Request, error: Full) -> JSONResponse:
        return _failed(Problem(field="server", message=f"has no room: {error}"), 507, {"Retry-After": "10"})

    @app.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Unavailable) -> JSONResponse:
        says = f"can't reach its online state: {error} Nothing was acknowledged; send it again."
        return _failed(Problem(field="server", message=says), 503, {"Retry-After": "1"})

    @app.exception_handler(HTTPException)
    async def elsewhere(request: Request, error: HTTPException) -> JSONResponse:
        """What the framework itself refuses."""
        taken, headers = _taken(request), dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(taken)  # all of the path's: the framework names those of one of its routes
        field, says = {
            404: ("path", NO_ROUTE),
            405: ("method", f"is {request.method}; this path takes {listed(taken, len(taken))}."),
            400: ("body", "can't be read as JSON in UTF-8."),
        }.get(error.status_code, ("request", f"{error.detail}."))
        return _failed(Problem(field=field, message=says), error.status_code, headers)


def first_problem(error: RequestValidationError, expected: Any) -> Problem:
    """The first mistake, in one sentence. expected: the type of the body, None where the route takes none."""
    found: dict[str, Any] = error.errors()[0]
    place, *loc = found["loc"] or ("body",)
    tags, sent = {one.tag for one in _tags(expected)}, found["type"] == "extra_forbidden"  # the last part then was sent to us
    path = [part for number, part in enumerate(loc) if part not in tags or (sent and number == len(loc) - 1)]
    field = ".".join(str(part) for part in path) or str(place)
    match found["type"]:
        case "missing":
            return Problem(field=field, message="is required and not there.")
        case "extra_forbidden":
            known = _fields(expected, path[:-1])
            return Problem(field=field, message=f"is not a field.{nearest(str(path[-1]), known)} Fields: {listed(known, 20)}.")
        case "json_invalid":
            return Problem(field="body", message=f"is not JSON: {found.get('ctx', {}).get('error', 'unreadable')}.")
        case _:
            said = f"is {found.get('input')!r:.80}: {found['msg'][:1].lower()}{found['msg'][1:]}."
            return Problem(field=field, message=said.encode(errors="replace").decode())


def _failed(problem: Problem, status: int, headers: Any = None) -> JSONResponse:
    return JSONResponse(Failed(error=problem).model_dump(), status, headers)


def _as_sent(content_type: str) -> str:
    return f'is "{content_type:.80}"' if content_type else "is required and not there"


def _taken(request: Request) -> list[str]:
    """The methods that the request's path takes."""
    fit = [one for one in _routes(request.app.routes) if one.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for one in fit for method in getattr(one, "methods", None) or ()} - {"HEAD"})


def _routes(within: Iterable[Any]) -> Iterator[Any]:
    """Those of included routers too."""
    for one in within:
        included = getattr(one, "original_router", None)
        yield from (one,) if included is None else _routes(included.routes)


def _annotation(body: Any) -> Any:
    found = body.field_info
    return Annotated[found.annotation, *found.metadata] if found.metadata else found.annotation


def _fields(expected: Any, path: Iterable[Any]) -> list[str]:
    """Of the models that may stand at the path: what is there may be any of a union's."""
    here = list(_alternatives(expected))
    for part in path:
        inner = [_inside(one, part) for one in here]
        here = [one for kind in inner if kind is not None for one in _alternatives(kind)]
    return list(dict.fromkeys(name for one in here if _is_model(one) for name in one.model_fields))


def _inside(kind: Any, part: Any) -> Any:
    if _is_model(kind):
        if part == kind.__name__:  # an error of a union's member says which
            return kind
        field = kind.model_fields.get(part)
        return None if field is None else field.annotation
    return next(iter(get_args(kind)[-1:]), None) if isinstance(part, int) or get_origin(kind) is dict else None


def _alternatives(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Annotated:
        yield from _alternatives(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            yield from _alternatives(one)
    else:
        yield kind


def _tags(kind: Any) -> Iterator[Tag]:
    """Of the alternatives of a union: they stand in an error's path, and in nothing that was sent."""
    for one in get_args(kind) if get_origin(kind) in (Annotated, Union, UnionType) else ():
        yield from (one,) if isinstance(one, Tag) else _tags(one)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
