"""One request on its way through: what the middlewares tell each other of it."""

from dataclasses import dataclass
from typing import Any

from headrace.serve.guard.scopes import ANY, scope_of

_PLACE = "headrace.passage"


@dataclass
class Passage:
    """id: of the request, for people who look for it in logs. route: its template, since a path may name a user. needs: the
    scope, None where everybody may. caller: who is counted, a key or an address."""

    id: str
    route: str
    needs: str | None
    key: str = ""
    caller: str = ""

    @classmethod
    def begun(cls, scope: Any, request_id: str) -> "Passage":
        route, needs = scope_of(scope["method"], scope["path"])
        made = scope[_PLACE] = cls(request_id, route, needs)
        return made

    @classmethod
    def of(cls, scope: Any) -> "Passage":
        """The scope's own; a middleware that stands alone begins one."""
        found: Passage | None = scope.get(_PLACE)
        return cls.begun(scope, "") if found is None else found

    @property
    def known(self) -> bool:
        return self.needs != ANY
