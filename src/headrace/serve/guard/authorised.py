"""Middleware: who asks, and whether their key's scope is enough.

A key comes as `Authorization: Bearer KEY`, as X-API-Key, or as a browser's password (any name), which is how the console's pages
are opened. Without a keys file everybody may do everything; the command line then listens to this machine alone.
"""

import base64
import binascii
import logging
from ipaddress import IPv6Address, ip_address
from typing import Any

from headrace.serve.guard.keys import KeyRing
from headrace.serve.guard.passage import Passage
from headrace.serve.guard.refusing import header, problem
from headrace.serve.guard.scopes import NO_ROUTE

log = logging.getLogger(__name__)
_HOW = {"WWW-Authenticate": 'Bearer realm="headrace", Basic realm="headrace", charset="UTF-8"'}
_ASK = "Send Authorization: Bearer KEY, or X-API-Key: KEY. Keys are made with: headrace keys add RUN NAME --scope read."


class Authorised:
    def __init__(self, app: Any, ring: KeyRing):
        self.app, self.ring = app, ring

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope, Passage.of(scope))
        await (self.app if refused is None else refused)(scope, receive, send)

    def _refused(self, scope: Any, passage: Passage) -> Any:
        passage.caller = address(scope)
        self.ring.look()
        if not self.ring.closed or passage.needs is None:
            return None
        if self.ring.trouble:
            log.error("%s", self.ring.trouble)
            return problem("key", "can't be checked: the server's keys can't be read. Its log says why.", 503)
        secret = secret_of(scope)
        if not secret:
            return problem("key", f"is required and not there. {_ASK}", 401, _HOW)
        key = self.ring.holder(secret)
        if key is None:
            return problem("key", f"is none of this server's, or was revoked. {_ASK}", 401, _HOW)
        passage.key, passage.caller = key.name, f"key {key.name}"
        if not passage.known:
            return problem("path", NO_ROUTE, 404)
        if passage.needs not in key.scopes:
            has = ", ".join(key.scopes)
            return problem("key", f'{key.name} has the scope {has}; this asks for "{passage.needs}".', 403)
        return None


def secret_of(scope: Any) -> str:
    given = header(scope, b"x-api-key").strip()
    kind, _, value = header(scope, b"authorization").strip().partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return "unreadable"
    return given


def address(scope: Any) -> str:
    """An IPv6 client by its network of 64 bits: it may change the rest as it likes."""
    client = (scope.get("client") or ("unknown",))[0]
    try:
        found = ip_address(client)
    except ValueError:
        return str(client)
    return found.exploded[:19] if isinstance(found, IPv6Address) else str(found)
