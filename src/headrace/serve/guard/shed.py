"""Middleware: when as many answers wait as may, further requests are turned away at once, so that those that wait are answered.

A queue that grows helps nobody: it makes every answer late, and what is asked after its user has gone is worked out all the same.
Shedding needs no recovery of its own: the next request is let in as soon as one of those inside is answered.
"""

from typing import Any

from headrace.serve.guard.refusing import problem

_SHED = "/v1/"


class Shed:
    def __init__(self, app: Any, most: int):
        self.app, self.most, self.inside = app, most, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_SHED):
            await self.app(scope, receive, send)
            return
        if self.inside >= self.most:
            says = f"{self.inside} requests wait already ([serve] waiting). Come again after Retry-After seconds."
            await problem("load", says, 503, {"Retry-After": "1"})(scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.inside -= 1
