"""A clock round a piece of work, as light as can be: an answer is timed by a dozen of them."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager


class Clock(AbstractContextManager[None]):
    """took: told the seconds, unless the work raised."""

    __slots__ = ("started", "took")

    def __init__(self, took: Callable[[float], None]):
        self.took = took

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.took(time.perf_counter() - self.started)
