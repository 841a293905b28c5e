"""Who asks what: users and items of a build's log, routes by their shares. The same seed asks the same."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from headrace.contracts.errors import ConfigError, listed, nearest

ROUTES = ("recommend", "events", "explain")
_RECENT, _NEW_SHARE = 200, 0.05


@dataclass(frozen=True)
class Call:
    route: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None


class Traffic:
    """shares: by route, of whatever sum. kind: of the events. One user in twenty is new to the log."""

    def __init__(self, users: Sequence[str], items: Sequence[str], kind: str | None, shares: Mapping[str, float], seed: int):
        self.users, self.items, self.kind = users, items, kind
        self.draws = np.random.default_rng(seed)
        self.routes, total = [one for one in shares if shares[one]], sum(shares.values())
        self._shares = [shares[one] / total for one in self.routes]
        self._answered: deque[str] = deque(maxlen=_RECENT)
        self._prefix, self._number = f"bench-{seed}-{self.draws.integers(2**32):08x}", 0

    def next(self) -> Call:
        """An explanation is asked of a page that was given; where there is none yet, a page."""
        route = self.routes[self.draws.choice(len(self.routes), p=self._shares)]
        self._number += 1
        name = f"{self._prefix}-{self._number}"
        if route == "events":
            return Call("events", "POST", "/v1/events", self.event(self.user(), self.items[self._one(self.items)], name))
        if route == "explain" and self._answered:
            return Call("explain", "GET", f"/v1/explain/{self._answered[self._one(self._answered)]}")
        return Call("recommend", "POST", "/v1/recommend", {"user_id": self.user(), "request_id": name})

    def user(self) -> str:
        if self.draws.random() < _NEW_SHARE:
            return f"{self._prefix}-new-{self.draws.integers(10_000)}"
        return self.users[self._one(self.users)]

    def event(self, user: str, item: str, name: str) -> Mapping[str, Any]:
        kind = {} if self.kind is None else {"kind": self.kind}
        return {"event_id": name, "user_id": user, "item_id": item, "at": datetime.now(UTC).isoformat(), **kind}

    def answered(self, call: Call) -> None:
        if call.route == "recommend" and call.body is not None:
            self._answered.append(call.body["request_id"])

    def _one(self, several: Any) -> int:
        return int(self.draws.integers(len(several)))


def shares_of(said: str) -> dict[str, float]:
    """ "recommend=80,events=15" -> the share of each route."""
    found: dict[str, float] = {}
    for part in said.split(","):
        name, _, value = (one.strip() for one in part.partition("="))
        if name not in ROUTES:
            raise ConfigError(f'--mix: "{name}" is no route to load.{nearest(name, ROUTES)} Routes: {listed(ROUTES)}.')
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f'--mix: {name} is "{value}", no number. As in recommend=80,events=15,explain=5.') from None
    if min(found.values()) < 0 or sum(found.values()) <= 0:
        raise ConfigError("--mix: shares are 0 or more, and one of them is more.")
    return found
