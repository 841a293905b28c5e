"""What one process of a server was asked and all are to do: look at the ledger, let another generation answer silently."""

from typing import Literal

from headrace.serve.state.lately import Lately

RELOAD, SHADOW = "reload", "shadow"
Whom = int | Literal["latest"] | None


class Asks:
    """Of one process. What was asked before it was started it has not done either."""

    def __init__(self, lately: Lately):
        self._lately, self._done = lately, dict.fromkeys((RELOAD, SHADOW), 0)

    def all(self, what: str, value: str = "") -> None:
        """This one has done it."""
        self._done[what] = self._lately.ask(what, value)

    def fresh(self, what: str) -> str | None:
        """What another process was asked since the last look; None where there is nothing."""
        number, value = self._lately.asked(what)
        if number == self._done[what]:
            return None
        self._done[what] = number
        return value


def written(whom: Whom) -> str:
    return "" if whom is None else str(whom)


def read(whom: str) -> Whom:
    return int(whom) if whom.isdigit() else "latest" if whom else None
