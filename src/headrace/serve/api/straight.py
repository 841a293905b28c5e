"""A route whose body is one model, without what the framework does for routes of any kind: a seventh of the event loop's time.

It stands before the framework's route of the same path, which the OpenAPI tells of. What can be read as the model is answered
here, all else there: a mistake is told by the one that always did.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.routing import BaseRoute, Match

from headrace.serve.guard.body import again
from headrace.serve.guard.refusing import header

_GIVEN_ON = "headrace.given_on"


class Straight(BaseRoute):
    """POST of JSON. answer: told the model. others: the router that this is a route of."""

    methods = frozenset({"POST"})

    def __init__(self, path: str, model: type[BaseModel], answer: Callable[[Any], Awaitable[Response]], others: APIRouter):
        self.path, self.model, self.answer, self.others = path, model, answer, others

    def matches(self, scope: Any) -> tuple[Match, Any]:
        mine = (
            scope["type"] == "http" and scope["path"] == self.path and scope["method"] == "POST"
            and header(scope, b"content-type") == "application/json" and _GIVEN_ON not in scope
        )  # fmt: skip
        return (Match.FULL if mine else Match.NONE), {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        body = await Request(scope, receive).body()
        try:
            sent = self.model.model_validate_json(body)
        except ValidationError:
            scope[_GIVEN_ON] = True
            await self.others.app(scope, again(body, receive), send)
            return
        await (await self.answer(sent))(scope, receive, send)
