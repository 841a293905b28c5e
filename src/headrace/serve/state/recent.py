"""Answers given lately, so that a request sent again gets the page it got, whichever generation or process answers by now.

A row (whose it is, what was asked, the page) lies under a digest of the request's id, and under a key that an erasure destroys:
a database keeps a deleted row's bytes in pages that it has not used again. The oldest goes first.
"""

import json
import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol

from headrace.cascade.answers import Answered
from headrace.contracts.requests import Bool
from headrace.serve.asked import Asked
from headrace.serve.state.database import digest
from headrace.serve.state.lately import MAP_MB, Lately, Ring
from headrace.serve.state.row_keys import RowKeys

_HEAD = struct.Struct(">II")  # bytes of the user's id, and of what was asked
_KEY, _KEY_NUMBER, _NONCE = b"row key", struct.Struct(">Q"), 16
_TRIES = 5
_MOST_BYTES = MAP_MB * 2**20 // 2  # so that there is room for what is changed in a transaction


@dataclass(frozen=True)
class Assigned:
    """The arm of an experiment that a request fell on. unit: what was assigned, the user or the request itself."""

    experiment: str
    arm: str
    unit: str
    unit_kind: str

    @property
    def counted(self) -> str:
        """Under which an arm's answers are."""
        return counted(self.experiment, self.arm)


def counted(experiment: str, arm: str) -> str:
    return f"arm\0{experiment}\0{arm}"


@dataclass(frozen=True)
class Remembered:
    """generation: the one that answered; deterministic: whether its page leaves nothing to chance. packed: the page."""

    asked: Asked
    generation: str
    deterministic: bool
    assigned: Assigned | None
    packed: bytes

    @classmethod
    def of(
        cls, asked: Asked, generation: str, page: Sequence[Answered], *, deterministic: bool, assigned: Assigned | None = None
    ) -> "Remembered":
        return cls(asked, generation, deterministic, assigned, json.dumps([list(vars(one).values()) for one in page]).encode())

    @property
    def page(self) -> list[Answered]:
        return [Answered(*one) for one in json.loads(self.packed)]

    @property
    def row(self) -> bytes:
        user, assigned = self.asked.user_id.encode(), None if self.assigned is None else astuple(self.assigned)
        said = json.dumps([list(vars(self.asked).values()), self.generation, self.deterministic, assigned]).encode()
        return _HEAD.pack(len(user), len(said)) + user + said + self.packed

    @classmethod
    def read(cls, row: bytes) -> "Remembered":
        user, said = _HEAD.unpack_from(row)
        begins = _HEAD.size + user
        asked, generation, deterministic, assigned = json.loads(row[begins : begins + said])
        told: list[Any] = [tuple(one) if isinstance(one, list) else one for one in asked]
        return cls(
            Asked(*told), generation, deterministic, None if assigned is None else Assigned(*assigned), row[begins + said :]
        )


class Recent(Protocol):
    """Where it lies is the state's matter (`opening`)."""

    def get(self, request_id: str) -> Remembered | None: ...
    def put(self, answered: Remembered, also: Callable[[], None] = lambda: None) -> bool:
        """False, and nothing is changed, where the request was answered meanwhile. also: what else is noted of it then, in one
        transaction where both lie in one place."""

    def forget(self, erased: Callable[[Sequence[str]], Bool]) -> None:
        """Those of erased users; erased says of users who is."""


class RecentHere:
    """A `Recent` of this machine's processes. most: requests kept. Of a page some 200 bytes an item are."""

    def __init__(self, lately: Lately, most: int):
        self._lately, self._rows = lately, lately.tables["requests"]
        self._order = Ring(lately.tables["order"], most)
        self._keys = RowKeys(lately.folder / "rows.key")

    def get(self, request_id: str) -> Remembered | None:
        for _ in range(_TRIES):
            with self._lately.reading() as reading:
                row = reading.get(digest(request_id), db=self._rows)
            try:
                return None if row is None else Remembered.read(self._opened(row))
            except KeyError:  # an erasure changed the key since: it lies under the new one now, or is gone
                continue
        return None

    def put(self, answered: Remembered, also: Callable[[], None] = lambda: None) -> bool:
        first = True
        with self._lately.noting() as writing:
            name = digest(answered.asked.request_id)
            first = bool(writing.put(name, self._sealed(self._key(writing), answered.row), db=self._rows, overwrite=False))
            if first:
                number = self._order.add(writing, name)
                for old in self._order.over(writing, number):
                    writing.delete(old, db=self._rows)
                while self._lately.used(writing, "requests") > _MOST_BYTES:
                    writing.delete(self._order.pop(writing), db=self._rows)
                also()
        return first

    def forget(self, erased: Callable[[Sequence[str]], Bool]) -> None:
        with self._lately.writing() as writing:
            held = [(name, self._opened(row)) for name, row in writing.cursor(self._rows)]
            gone = erased([_user(row) for _, row in held]).tolist()
            if not any(gone):
                return
            key = self._keys.another()
            writing.put(_KEY, _KEY_NUMBER.pack(key), db=self._lately.tables["facts"])
            for (name, row), one in zip(held, gone, strict=True):
                if one:
                    writing.delete(name, db=self._rows)
                else:
                    writing.put(name, self._sealed(key, row), db=self._rows)
        self._keys.only(key)

    def _key(self, writing: Any) -> int:
        found = writing.get(_KEY, db=self._lately.tables["facts"])
        return _KEY_NUMBER.unpack(found)[0] if found else 1

    def _sealed(self, key: int, row: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._keys.sealed(key, nonce, row)

    def _opened(self, value: bytes) -> bytes:
        return self._keys.opened(value[:_NONCE], value[_NONCE:])

    def __len__(self) -> int:
        with self._lately.reading() as reading:
            return int(reading.stat(self._rows)["entries"])


def _user(row: bytes) -> str:
    return row[_HEAD.size : _HEAD.size + _HEAD.unpack_from(row)[0]].decode()
