"""Middleware: a page of another site may not write here through a visitor's browser.

A browser says where a request that may change something comes from (Origin). One from elsewhere is refused unless the plan names
it in `cors_origins`; programs send no Origin and are not concerned. This also holds where no keys are asked for: a server on
one's own machine can be reached by every page one opens.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from headrace.serve.guard.refusing import header, problem

_SAFE = ("GET", "HEAD", "OPTIONS")


class SameSite:
    def __init__(self, app: Any, origins: Sequence[str]):
        self.app, self.origins = app, origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE or self._mine(scope):
            await self.app(scope, receive, send)
            return
        refused = problem("Origin", "is another site's. [serve] cors_origins names those whose pages may ask.", 403)
        await refused(scope, receive, send)

    def _mine(self, scope: Any) -> bool:
        origin = header(scope, b"origin")
        if not origin or origin in self.origins or "*" in self.origins:
            return True
        try:
            return urlsplit(origin).netloc == header(scope, b"host")
        except ValueError:
            return False
