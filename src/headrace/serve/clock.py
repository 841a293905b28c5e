"""A clock round a piece of work, as light as can be: an answer is timed by a dozen of them."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager


class Clock(AbstractContextManager[None]):
    """took: told the seconds, unless the work raised. inside: another context, entered after it and left before."""

    __slots__ = ("inside", "started", "took")

    def __init__(self, took: Callable[[float], None], inside: AbstractContextManager[None] | None = None):
        self.took, self.inside = took, inside

    def __enter__(self) -> None:
        self.started = time.perf_counter()
        if self.inside is not None:
            self.inside.__enter__()

    def __exit__(self, kind: object, *more: object) -> None:
        if self.inside is not None:
            self.inside.__exit__(kind, *more)  # type: ignore[arg-type]
        if kind is None:
            self.took(time.perf_counter() - self.started)
