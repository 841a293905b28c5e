"""Answers given lately, so that a request sent again gets the page it got, whichever generation answers by now."""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from headrace.cascade.answers import Answered
from headrace.contracts.requests import Bool
from headrace.serve.asked import Asked


@dataclass(frozen=True)
class Assigned:
    """The arm of an experiment that a request fell on. unit: what was assigned, the user or the request itself."""

    experiment: str
    arm: str
    unit: str
    unit_kind: str


@dataclass(frozen=True)
class Remembered:
    """generation: the one that answered; deterministic: whether its page leaves nothing to chance. packed: the page."""

    asked: Asked
    generation: str
    deterministic: bool
    assigned: Assigned | None
    packed: bytes

    @property
    def page(self) -> list[Answered]:
        return [Answered(**one) for one in json.loads(self.packed)]


class Recent:
    """most: requests kept. Of a page some 200 bytes an item are."""

    def __init__(self, most: int):
        self.most, self._held, self._lock = most, OrderedDict[str, Remembered](), Lock()

    def get(self, request_id: str) -> Remembered | None:
        return self._held.get(request_id)

    def put(
        self, asked: Asked, generation: str, page: Sequence[Answered], *, deterministic: bool, assigned: Assigned | None = None
    ) -> None:
        packed = json.dumps([one.as_dict() for one in page]).encode()
        with self._lock:
            self._held[asked.request_id] = Remembered(asked, generation, deterministic, assigned, packed)
            while len(self._held) > self.most:
                self._held.popitem(last=False)

    def forget(self, erased: Callable[[Sequence[str]], Bool]) -> None:
        """Those of erased users; erased says of users who is."""
        with self._lock:
            held = list(self._held.values())
            for one, gone in zip(held, erased([one.asked.user_id for one in held]), strict=True):
                if gone:
                    del self._held[one.asked.request_id]
