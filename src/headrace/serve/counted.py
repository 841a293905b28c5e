"""Middleware: each answer by route and status."""

from typing import Any

from headrace.serve.guard.passage import Passage
from headrace.serve.guard.scopes import named
from headrace.serve.serving import Serving


class Counted:
    def __init__(self, app: Any, serving: Serving):
        self.app, self.serving = app, serving

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def sent(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "path", Passage.of(scope).route)  # none where a guard turned it away
            self.serving.metrics.answered(named(route), status)
