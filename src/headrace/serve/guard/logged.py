"""Middleware: one line an answer, and an answer for what nobody caught.

A line has the route's template, not its path, and neither query, body nor headers: those have users' ids, wishes and secrets.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from headrace.serve.guard.passage import Passage
from headrace.serve.guard.refusing import problem

log = logging.getLogger(__name__)


class Logged:
    """generation: which one answers now."""

    def __init__(self, app: Any, generation: Callable[[], str]):
        self.app, self.generation = app, generation

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        passage, started = Passage.of(scope), time.perf_counter()
        status, size = 0, 0

        async def weighed(message: Any) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, weighed)
        except Exception:
            log.exception("%s %s failed (%s)", scope["method"], passage.route, passage.id)
            if status:
                raise  # it had begun to answer: the connection is cut
            says = f"The server failed; its log says why, under {passage.id}. Sent again it may succeed."
            await problem("server", says, 500)(scope, receive, weighed)
        finally:
            line = {
                "id": passage.id, "method": scope["method"], "route": passage.route, "status": status,
                "ms": round(1000 * (time.perf_counter() - started), 2), "key": passage.key,
                "generation": self.generation(), "bytes": size,
            }  # fmt: skip
            log.info("%(method)s %(route)s %(status)s %(ms)s ms", line, extra={"line": line})
