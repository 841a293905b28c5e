"""The generations in memory: opened when somebody needs them, closed when no request that may hold them is left."""

import ctypes
import gc
import logging
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from headrace.contracts.errors import ArtifactError, HeadraceError
from headrace.flywheel.generations import Generation
from headrace.serve.live.flights import Flights
from headrace.serve.live.metered import Metered
from headrace.serve.live.opening import open_beside
from headrace.serve.service import Service

log = logging.getLogger(__name__)

_LANDS_S = 30.0
"""How long requests that may hold a generation are waited for before it is closed."""


class OpenOnes:
    """Of one thread at a time, but for `let_go`. first: the one that is open. settle: waits for answers being worked out."""

    def __init__(self, run: Path, first: Service):
        self.run, self.by_key, self._leaving = run, {first.generation: first}, list[Service]()
        self.flights, self.metered = Flights(), Metered(first.metrics)
        self.settle: Callable[[], None] = lambda: None
        self.refused: dict[int, str] = {}
        self.opening = 0
        self.metered.open.set(1)

    def opened(self, generation: Generation) -> Service:
        """Now, if it was not. ArtifactError: it can't be; why is remembered."""
        number = generation.number
        if generation.key in self.by_key:
            return self.by_key[generation.key]
        self.opening, started = number, time.perf_counter()
        try:
            made = open_beside(self.run, generation, self._any())
        except Exception as error:  # a damaged file may fail in any way, and the others answer meanwhile
            says = str(error) if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
            log.error("generation %d is refused, what answers goes on: %s", number, says)
            self.refused[number] = says
            raise ArtifactError(says) from error
        finally:
            self.opening = 0
        self.refused.pop(number, None)
        self.add(made)
        log.info("generation %d is open, after %.1f s", number, time.perf_counter() - started)
        return made

    def rebuilt(self) -> Service:
        """What a build without a ledger has become."""
        made = open_beside(self.run, None, self._any())
        self.add(made)
        return made

    def add(self, made: Service) -> None:
        self.by_key = {**self.by_key, made.generation: made}  # replaced whole: others look through it meanwhile
        self.metered.open.set(len(self.by_key))

    def take_out(self, needed: Set[str]) -> None:
        """Nobody is given any other from now on; `let_go` closes them."""
        self._leaving += [service for key, service in self.by_key.items() if key not in needed]
        self.by_key = {key: service for key, service in self.by_key.items() if key in needed}

    def let_go(self) -> None:
        """Closes what was taken out, oldest first. It waits for requests, and others may open and take out meanwhile."""
        while self._leaving:
            key = self._leaving[0].generation
            if not self.flights.landed(self.flights.next_epoch(), _LANDS_S):
                log.warning("generation %s is closed though requests from before are still in flight", key)
            self.settle()
            try:
                self._leaving.pop(0).close()
                log.info("generation %s is closed", key)
            except Exception:  # what it holds is lost to this process; the others need not be
                log.exception("generation %s could not be closed", key)
            _collect()
            self.metered.open.set(len(self.by_key))

    def close(self) -> None:
        for service in (*self._leaving, *self.by_key.values()):
            service.close()

    def _any(self) -> Service:
        """All share what the next one goes on with."""
        return next(iter(self.by_key.values()))


def _collect() -> None:
    """What a closed generation leaves goes now. What was frozen at the start is looked through for it, which takes a moment."""
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if frozen:
        gc.freeze()
    _give_back()


def _give_back() -> None:
    """Memory that was freed goes back to the system, where the C library can be told to: it kept some 10 MB a swap of a small
    build otherwise."""
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
