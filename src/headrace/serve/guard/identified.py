"""Middleware: every request has an id, in its answer's X-Request-ID and in the log. A sender's own is kept where it is plain."""

import re
from typing import Any
from uuid import uuid4

from headrace.serve.guard.passage import Passage
from headrace.serve.guard.refusing import header

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Identified:
    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = header(scope, b"x-request-id")
        passage = Passage.begun(scope, given if _PLAIN.fullmatch(given) else uuid4().hex)

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", passage.id.encode())]
            await send(message)

        await self.app(scope, receive, named)
