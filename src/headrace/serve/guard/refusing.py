"""An answer in the form of an error, from a middleware: nothing behind it was asked."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from headrace.serve.messages import Failed, Problem


def problem(field: str, message: str, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(Failed(error=Problem(field=field, message=message)).model_dump(), status, dict(headers or {}))


async def refuse(scope: Any, receive: Any, send: Any, answer: JSONResponse) -> None:
    await answer(scope, receive, send)


def header(scope: Any, name: bytes) -> str:
    """The first of that name, "" where there is none."""
    for key, value in scope["headers"]:  # a request is asked for seven of them: no generator each time
        if key == name:
            return str(value, "latin-1")
    return ""
