"""Which of several servers writes files of the rows that wait in Redis: the one that has the lease.

    lease    the term of who writes. It runs out lease_s after it was last renewed, and is anybody's then
    term     the last that was given: NUMBER FOLDER. Rows leave Redis under this one alone

So a server that was paused beyond its lease finds another term when it wakes, and lets go of nothing. The folder names the
server, so one that is started again has the lease at once. Only Redis' clock counts.
"""

from pathlib import Path
from typing import Any
from uuid import uuid4

from headrace.serve.state.redis_scripts import HOLD, LEASE, LET_GO, TERM
from headrace.serve.state.redis_server import RedisServer, Unavailable


class Lease:
    """folder: this server's own. wanted: whether it writes files at all. lease_s: longer than between two calls of `held`."""

    def __init__(self, server: RedisServer, folder: Path, lease_s: float, *, wanted: bool):
        self.server, self.wanted, self.folder, self._ms = server, wanted, _named(folder), int(1000 * lease_s)
        self._hold: Any = server.client.register_script(HOLD)
        self._let_go: Any = server.client.register_script(LET_GO)
        self.term = b""

    def held(self, *, anew: bool = False) -> bool:
        """Taken if it is free, renewed if it is this server's. anew: under another term. Unavailable."""
        if self.wanted:
            mine = b"" if anew else self.term
            told = self.server.ask(lambda _: self._hold([LEASE, TERM], [self.folder, mine, self._ms]))
            self.term = told or b""
        return bool(self.term)

    def let_go(self) -> None:
        """The next that asks has it."""
        try:
            if self.term:
                self.server.ask(lambda _: self._let_go([LEASE], [self.term]))
        except Unavailable:
            pass  # then it runs out
        self.term = b""


def _named(folder: Path) -> str:
    """A copy of a folder is another server's."""
    path = folder / "writer.id"
    if not path.is_file():
        path.write_text(uuid4().hex)
    return f"{path.read_text()}-{path.stat().st_ino}"
