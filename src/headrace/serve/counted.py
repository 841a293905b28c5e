"""Middleware: each answer by route and status."""

from typing import Any

from headrace.serve.metrics import Metrics


class Counted:
    def __init__(self, app: Any, metrics: Metrics):
        self.app, self.metrics = app, metrics

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
            self.metrics.answered(getattr(scope.get("route"), "path", "unknown"), status)
