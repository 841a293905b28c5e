"""Whether new requests are let in, and the middleware that sees to it.

open       as usual
draining   the server was told to stop: /readyz says so, whoever comes is still answered, so that a balancer has time to hear
shut       new requests are turned away; those inside are answered
"""

from dataclasses import dataclass
from typing import Any, Literal

from headrace.serve.guard.passage import Passage
from headrace.serve.guard.refusing import problem


@dataclass
class Door:
    state: Literal["open", "draining", "shut"] = "open"


class Guarded:
    def __init__(self, app: Any, door: Door):
        self.app, self.door = app, door

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or self.door.state != "shut" or Passage.of(scope).needs is None:
            await self.app(scope, receive, send)
            return
        says = "is stopping and takes no new requests. Ask another, or come again after Retry-After seconds."
        refused = problem("server", says, 503, {"Retry-After": "5", "Connection": "close"})
        await refused(scope, receive, send)
