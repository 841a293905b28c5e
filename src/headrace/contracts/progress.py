"""How long work goes on is told, not printed: the command line passes something that draws it."""

from typing import Protocol


class Progress(Protocol):
    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """done of total units of `what`; note: the latest figure worth seeing."""


def silent(what: str, done: int, total: int, note: str = "") -> None:
    """The progress nobody watches."""


def both(first: Progress, second: Progress) -> Progress:
    """Tells two."""

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        first(what, done, total, note)
        second(what, done, total, note)

    return progress
