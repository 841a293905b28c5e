"""A request that can't be used gets a status and the field that is wrong, whatever the route."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from headrace.serve.messages import Ask, Event, Failed, Refused, first_problem

PROBLEMS: dict[int | str, dict[str, Any]] = {422: {"model": Failed, "description": "Which field can't be used, and why"}}


def handle_failures(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def unusable(request: Request, error: RequestValidationError) -> JSONResponse:
        model = Event if request.url.path == "/v1/events" else Ask
        return JSONResponse(Failed(error=first_problem(error, model)).model_dump(), 422)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse(Failed(error=error.problem).model_dump(), error.status)
