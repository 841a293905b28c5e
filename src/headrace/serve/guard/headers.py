"""Middleware: what a browser is told to keep to. A page that needs another Content-Security-Policy sends its own."""

from typing import Any

_PAGE = (
    "default-src 'self'; img-src 'self' data: https:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))


class Headers:
    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def told(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                known = dict(headers)
                more = list(_ALWAYS)
                if known.get(b"content-type", b"").startswith(b"text/html"):
                    more += [(b"content-security-policy", _PAGE.encode()), (b"x-frame-options", b"DENY")]
                message["headers"] = headers + [one for one in more if one[0] not in known]
            await send(message)

        await self.app(scope, receive, told)
