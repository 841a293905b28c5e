"""Asks an ASGI app as a server would, message by message."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.body)["error"]
        return found


def scope(method="GET", path="/v1/recommend", headers=(), client="10.0.0.1", query=b""):
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query, "root_path": "",
        "scheme": "http", "http_version": "1.1", "client": (client, 1), "server": ("host", 80), "state": {},
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in dict(headers).items()],
    }  # fmt: skip


async def asked(app: Any, of: Any, chunks: Any = (b"",), pause_s: float = 0.0) -> Answer:
    """chunks: of the body, as they come."""
    left, sent = list(chunks), []

    async def receive():
        if not left:
            await asyncio.sleep(3600)
        await asyncio.sleep(pause_s)
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    await app(of, receive, send)
    start = next(one for one in sent if one["type"] == "http.response.start")
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(one.get("body", b"") for one in sent))


def ask(
    app: Any, method="GET", path="/v1/recommend", headers=(), chunks: Any = (b"",), client="10.0.0.1", pause_s=0.0, query=b""
) -> Answer:  # fmt: skip
    return asyncio.run(asked(app, scope(method, path, headers, client, query), chunks, pause_s))


async def echo(of: Any, receive: Any, send: Any) -> None:
    """An app that answers with the body it got."""
    parts, more = [], True
    while more and ("content-length" in str(of["headers"]) or "transfer-encoding" in str(of["headers"])):
        message = await receive()
        parts.append(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"".join(parts)})
