"""A user who was erased at another server on the same Redis leaves this one's files too, whenever it hears of it.

    every rotate_s, and when a server starts: digests that Redis has and this server has not followed yet ->
        the run's store, so that no import takes them in · files of events, requests, candidates, exposures · answers given
        lately · words of questions to language models · noted as followed, here and in Redis

No id is handed over: files are looked through by digest. From the erasure on nothing of the user is shown or taken in anywhere;
what follows is about what lies on disks. Broken off, it begins anew.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from headrace.data.forget import ERASED, record_digests
from headrace.llm.questions import forget_words
from headrace.serve.logs.files import alone
from headrace.serve.logs.forgetting import forget_logged, named
from headrace.serve.state.database import Database
from headrace.serve.state.recent import Recent

log = logging.getLogger(__name__)


class Following:
    """root: of served logs. store: the run's. told: how many are left."""

    def __init__(self, root: Path, store: Path, state: Database, recent: Recent, told: Callable[[int], None]):
        self.root, self.store, self.state, self.recent, self.told = root, store, state, recent, told

    def follow(self) -> dict[str, int]:
        """Rows removed, by table. Cost: a round trip where nobody was erased, else the user columns of all files."""
        left = self.state.left_to_follow()
        self.told(len(left))
        if not left:
            return {}
        with alone(self.root, "erasing"):
            rows = self._follow(self.state.left_to_follow())  # one may have been under way here
        self.told(0)
        return rows

    def _follow(self, left: set[bytes]) -> dict[str, int]:
        if not left:
            return {}
        with alone(self.root):
            record_digests(self.store / ERASED, sorted(left), datetime.now(UTC))
        users = named(self.root, left)
        rows = forget_logged(self.root, users) if users else {}
        self.recent.forget(self.state.erased)
        forget_words(self.store.parent)
        self.state.followed(left)
        log.info("%d users erased at another server: %d of them in files here, rows removed: %s", len(left), len(users), rows)
        return rows
