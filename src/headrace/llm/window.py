"""So many threads that take one piece of work after another: never more under way than that, however many there are."""

from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread
from typing import TypeVar

Work = TypeVar("Work")
Done = TypeVar("Done")


class Stopped(Exception):
    """Raised out of a pause in a window that has ended."""


class Window:
    def __init__(self, width: int):
        self.width, self._ended, self._lock = width, Event(), Lock()
        self._error: BaseException | None = None
        self._deaf = False

    def run(self, work: Iterable[Work], do: Callable[[Work], Done], done: Callable[[int, Done], None]) -> None:
        """done(place, result) is called by one thread at a time.

        The first exception ends the window and is raised here. Results under way are still handed to `done`, unless it raised.
        """
        left = enumerate(work)

        def ask() -> None:
            try:
                while not self._ended.is_set():
                    with self._lock:
                        taken = next(left, None)
                    if taken is None:
                        return
                    result = do(taken[1])
                    with self._lock:
                        self._hand(done, taken[0], result)
            except Stopped:
                return
            except BaseException as error:
                self._error = self._error or error
                self._ended.set()

        threads = [Thread(target=ask, daemon=True) for _ in range(self.width)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:  # an interrupt: what is under way is left behind
            self._ended.set()
            self._deaf = True
            raise
        if self._error is not None:
            raise self._error

    def sleep(self, seconds: float) -> None:
        if seconds > 0 and self._ended.wait(seconds):
            raise Stopped

    def _hand(self, done: Callable[[int, Done], None], place: int, result: Done) -> None:
        if not self._deaf:
            try:
                done(place, result)
            except BaseException:
                self._deaf = True
                raise
