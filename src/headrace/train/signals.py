"""Being asked to stop (Ctrl-C, SIGTERM): the step is finished and saved first, and the message says how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Training stopped between two steps because it was asked to."""


@dataclass
class Asked:
    """by: the first signal that came, or None."""

    by: str | None = None


@contextmanager
def noticed() -> Iterator[Asked]:
    """Inside, the first SIGINT or SIGTERM is only noted, and a second one ends the process's work at once.

    Python lets the main thread alone hear signals: in any other one nothing is noted. A signal that was ignored (nohup, a
    background shell) stays ignored. On leaving, the handlers are those that were there before.
    """
    asked = Asked()

    def note(number: int, frame: FrameType | None) -> None:
        if asked.by is not None:
            raise KeyboardInterrupt
        asked.by = signal.Signals(number).name

    before = {}
    if threading.current_thread() is threading.main_thread():
        # None: set from outside Python, so it could not be put back
        before = {one: signal.getsignal(one) for one in _ASKING if signal.getsignal(one) not in (None, signal.SIG_IGN)}
    try:
        for one in before:
            signal.signal(one, note)
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
