"""Which scope a route asks of a key, in one place: a route that is not here is not let through where keys are asked for.

    read      what is answered          write     what is told          admin     what changes for others, and what shows users

Paths are written as the routes' own: `{name}` stands for one part, `{name:kind}` for any number of them. The first rule that fits
counts. HEAD goes as GET. A key has the scopes it was given, no others.
"""

import re
from functools import cache
from typing import NamedTuple

SCOPES = ("read", "write", "admin")
ANY = "a route that is not there"
NO_ROUTE = "is no route of this server. GET /openapi.json lists them, /docs tells of each, people look at /console."
_ALL = "GET|POST|PUT|PATCH|DELETE"


class Rule(NamedTuple):
    """scope None: whoever asks."""

    methods: str
    path: str
    scope: str | None


RULES = (
    Rule("GET", "/healthz", None),
    Rule("GET", "/readyz", None),
    Rule("GET", "/metrics", "read"),
    Rule("GET", "/openapi.json", "read"),
    Rule("GET", "/docs", "read"),
    Rule("POST", "/v1/recommend", "read"),
    Rule("GET", "/v1/explain/{request_id:any_id}", "read"),
    Rule("POST", "/v1/search", "read"),
    Rule("GET", "/v1/items/{item_id:any_id}/similar", "read"),
    Rule("GET", "/v1/items/{item_id:any_id}", "read"),
    Rule("GET", "/v1/generations", "read"),
    Rule("POST", "/v1/generations/reload", "admin"),
    Rule("POST", "/v1/generations/{number}/shadow", "admin"),
    Rule("DELETE", "/v1/generations/shadow", "admin"),
    Rule("GET", "/v1/experiments", "admin"),
    Rule("POST", "/v1/events", "write"),
    Rule("PUT", "/v1/items", "write"),
    Rule("DELETE", "/v1/items/{item_id:any_id}", "write"),
    Rule("DELETE", "/v1/users/{user_id:any_id}", "admin"),
    Rule("GET", "/console/static/{name}", None),
    Rule(_ALL, "/console", "admin"),
    Rule(_ALL, "/console/{page:path}", "admin"),
)


def scope_of(method: str, path: str) -> tuple[str, str | None]:
    """(the rule's path as it is `named`, its scope); ("unknown", ANY) where there is none."""
    asked = "GET" if method == "HEAD" else method
    for name, scope, pattern, methods in _COMPILED:
        if pattern.fullmatch(path) and asked in methods:
            return name, scope
    return "unknown", ANY


@cache
def named(path: str) -> str:
    """A route's path as metrics and logs tell it: of its parts their names alone."""
    return re.sub(r":\w+\}", "}", path)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+(?::\w+)?\})", path)
    made = [(".*" if ":" in part else "[^/]+") if part.startswith("{") else re.escape(part) for part in parts]
    return re.compile("".join(made), re.DOTALL)


_COMPILED = [(named(rule.path), rule.scope, _pattern(rule.path), frozenset(rule.methods.split("|"))) for rule in RULES]
