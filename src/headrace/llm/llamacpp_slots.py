"""The beginning that many chats have in common, read once by llama.cpp and laid into each of its slots.

    slots = Slots(count=4, context=2048)            # slots.folder is what the server is started with
    slots.begin(asked, first, last, chats=100)      # tokens of two chats; reads nothing where the slots hold it already

llama.cpp keeps what each slot read and goes on from what the next chat shares with it, but a slot can't see another's. So slot 0
reads, writes its keys and values to a file, and the others fetch them: a pass over the file for each in place of the arithmetic
(23 KB a token for 135 million parameters). A chat that begins otherwise is read whole; nothing but time depends on this.
"""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

WORTH_SHARING = 8
"""Tokens: reading fewer again costs no more than a file does."""
_FILE = "beginning"
Asked = Callable[[str, Mapping[str, Any]], Any]


class Slots:
    """folder: of this process alone, gone with the object or by `close`."""

    def __init__(self, count: int, context: int):
        self.count, self.context = count, context
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-llamacpp-"))
        self.close = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._held: list[int] = []

    def begin(self, asked: Asked, first: Sequence[int], last: Sequence[int], *, chats: int) -> None:
        """asked(path, body): the server's answer. first, last: of chats in order, so that what these two share all between them
        do. chats: how many will come."""
        common = shared(first, last)
        wanted = min(self.count, chats)
        if wanted < 2 or common > self.context or common - shared(first[:common], self._held) < WORTH_SHARING:
            return
        try:
            asked("/completion", {"prompt": list(first[:common]), "n_predict": 0, "id_slot": 0, "cache_prompt": True})
            asked("/slots/0?action=save", {"filename": _FILE})
            for slot in range(1, wanted):
                asked(f"/slots/{slot}?action=restore", {"filename": _FILE})
        except HTTPError:  # a kind of model whose state can't be moved: each slot reads for itself, as it would have
            return
        finally:
            (self.folder / _FILE).unlink(missing_ok=True)
        self._held = list(first[:common]) if wanted == self.count else []


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
