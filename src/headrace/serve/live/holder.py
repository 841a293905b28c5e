"""Which generations are open and who of them answers: the live one, arms of an experiment, a shadow, the one to go back to.

A thread looks at the run's ledger (`live.json`). When it names another generation, that one is opened beside the live one, every
byte checked, warmed, and then one reference is changed: requests in flight end on the old one, later ones begin on the new. One
that can't be opened is refused, and the old one goes on. Whoever needs to be closed is, when no request that may hold it is left.
Of several processes that serve a run each follows the ledger; what one is asked to do the others do at their next look.
"""

import logging
import threading
from pathlib import Path
from typing import Any

from headrace.cascade.run import open_run
from headrace.contracts.errors import HeadraceError
from headrace.flywheel.generations import Generation, Generations
from headrace.serve.given import Given
from headrace.serve.live.arms import Arms
from headrace.serve.live.asks import RELOAD, SHADOW, Asks, Whom, read, written
from headrace.serve.live.guardrails import Watch, seconds_since
from headrace.serve.live.known import Known, Status
from headrace.serve.live.open_ones import OpenOnes
from headrace.serve.live.shadow import Shadow
from headrace.serve.metrics import Metrics
from headrace.serve.service import Service
from headrace.serve.state.recent import Assigned

log = logging.getLogger(__name__)

GUARDRAIL = "guardrail "
"""A rollback's reason in the ledger begins so."""


class Live:
    """run: the folder served. first: what answers to begin with."""

    def __init__(self, run: Path, first: Service):
        self.run, self.current, self.ledger = run, first, Generations(run)
        self.settings, self.open = first.settings, OpenOnes(run, first)
        self.metered, self.number = self.open.metered, self._number_of(first.generation)
        self.arms: Arms | None = None
        self.shadow: Shadow | None = None
        self.shadowed: Whom = self.settings.shadow
        self.watch: Watch | None = None
        self._before: Service | None = None
        self._asks = Asks(first.shared.lately)
        self._stamp = self._read_stamp()
        self._moving, self._wake, self._ended = threading.RLock(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="generations", daemon=True)

    def begin(self) -> None:
        """Arms and shadow as the settings say, then the ledger is followed.

        ConfigError, ArtifactError: an experiment that can't be served. The server should not go up without it."""
        with self._moving:
            if self.settings.experiment is not None:
                path = self.current.pipeline.plan.folder / self.settings.experiment
                self.arms = Arms.of(path, self._opened)
            self._asks.fresh(RELOAD)  # it has just looked
            self._hear()
            self._cast_shadow()
            self._watch_again()
        self._thread.start()

    @property
    def metrics(self) -> Metrics:
        return self.current.metrics

    def chosen(self, user_id: str, request_id: str) -> tuple[Service, Assigned | None]:
        """Who answers a request: the arm it falls on, or the live generation."""
        arms = self.arms
        assigned = None if arms is None else arms.assigned(user_id, request_id)
        if arms is None or assigned is None:
            return self.current, None
        return arms.services[assigned.arm], assigned

    def sent(self, given: Given, answered_by: Service) -> None:
        """An answer has left."""
        if given.assigned is not None and self.arms is not None and not given.again:
            self.metered.arms.labels(given.assigned.experiment, given.assigned.arm).inc()
        shadow = self.shadow
        if shadow is not None:
            shadow.offer(given, answered_by)

    def of(self, request_id: str) -> Service:
        """The generation that answered a recent request, where it is open; else the live one."""
        found = self.current.shared.recent.get(request_id)
        return self.current if found is None else self.open.by_key.get(found.generation, self.current)

    def all(self) -> list[Known]:
        """Every generation of the run, in the order made; where a record can't be read, what answers."""
        try:
            known = self.ledger.all()
        except HeadraceError as error:
            return [Known(self.number, self.current.generation, "live", says=str(error))]
        if not known:
            return [Known(0, self.current.generation, "live")]
        return [self._known(one) for one in known]

    def reload(self) -> str:
        """Looks at once; what came of it. It waits while a generation is opened."""
        with self._moving:
            self._stamp = self._read_stamp()  # so the thread does not try the same once more
            said = self._follow(asked=True)
            self._asks.all(RELOAD)
        self._wake.set()  # what is not needed any more is closed by the thread: this call may itself be in flight
        if self.current.shared.seat.alone or said.startswith("refused"):
            return said
        return f"{said}; the server's other processes look within {self.settings.reload_s:g} s"

    def cast(self, number: Whom) -> None:
        """Which one answers silently from now on; None: none does. ConfigError, ArtifactError."""
        with self._moving:
            if isinstance(number, int):
                self.ledger.get(number)
            before, self.shadowed = self.shadowed, number
            try:
                self._cast_shadow(asked=True)
            except HeadraceError:
                self.shadowed = before
                raise
            self._asks.all(SHADOW, written(number))
        self._wake.set()

    def close(self) -> None:
        """After the last answer."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.shadow is not None:
            self.shadow.close()
        self.open.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(self.settings.reload_s)
            self._wake.clear()
            if self._ended.is_set():
                return
            try:
                with self._moving:
                    self._look()
                    self.open.take_out(self._needed())
                self.open.let_go()
            except Exception:  # this thread is what a promotion is noticed by: it must live on whatever a folder holds
                log.exception("%s: generations could not be looked at", self.run)

    def _look(self) -> None:
        stamp, again = self._read_stamp(), self._asks.fresh(RELOAD) is not None
        if stamp != self._stamp or again:
            self._stamp = stamp
            self._follow(asked=again)
        self._hear()
        self._cast_shadow()
        if self.watch is not None:
            self._judge(self.watch)

    def _hear(self) -> None:
        """Whom another process was asked to let answer silently."""
        whom = self._asks.fresh(SHADOW)
        self.shadowed = self.shadowed if whom is None else read(whom)

    def _follow(self, *, asked: bool = False) -> str:
        """To the generation that the ledger names. asked: by a person, so a refused one is tried again."""
        try:
            wanted = self.ledger.live
        except HeadraceError as error:
            log.error("%s", error)
            self.metered.moves.labels("refused").inc()
            return f"refused: {error}"
        if wanted is None:
            return self._rebuilt() if asked and not self.ledger.all() else "nothing else is live"
        if wanted.key == self.current.generation:
            self.number = wanted.number
            return f"generation {wanted.number} answers already"
        try:
            opened = self._opened(wanted.number)
        except HeadraceError as error:
            self.metered.moves.labels("refused").inc()
            return f"refused: {error}"
        self._swap(opened, wanted.number)
        return f"generation {wanted.number} answers"

    def _rebuilt(self) -> str:
        """A build without a ledger, built again in its folder."""
        try:
            if open_run(self.run, as_built=True).generation.key == self.current.generation:
                return "the build is as it was"
            opened = self.open.rebuilt()
        except HeadraceError as error:
            self.metered.moves.labels("refused").inc()
            return f"refused: {error}"
        self._swap(opened, 0)
        return "the new build answers"

    def _opened(self, number: int) -> Service:
        return self.open.opened(self.ledger.get(number))

    def _swap(self, service: Service, number: int) -> None:
        before, old = self.current, self.number
        self.current, self.number = service, number
        self.metrics.serves(service.generation)
        self.metered.moves.labels("swapped").inc()
        move = self.ledger.moves[-1] if number else None
        log.info(
            "generation %d answers instead of %d (%s)", number, old, "built again" if move is None else move.why or move.what
        )
        self.watch = self._before = None
        if move is not None and move.what == "promote":
            self.watch = Watch.of(number, self.settings.guardrails, service.tally, before.tally)
            self._before = None if self.watch is None else before

    def _watch_again(self) -> None:
        """A server that was started within the window of a promotion goes on watching, without the predecessor's figures."""
        moves = self.ledger.moves
        if moves and moves[-1].what == "promote" and moves[-1].to == self.number:
            gone_s = seconds_since(moves[-1].at)
            self.watch = Watch.of(self.number, self.settings.guardrails, self.current.tally, None, gone_s=gone_s)

    def _judge(self, watch: Watch) -> None:
        """Of several processes one judges, and the others follow the ledger."""
        if watch.over:
            self.watch = self._before = None
        tripped = watch.tripped() if self.current.shared.duty.mine else None
        if tripped is None:
            return
        self.watch = self._before = None
        self.metered.trips.labels(tripped.guardrail).inc()
        moves = self.ledger.moves
        if not moves or moves[-1].what != "promote" or moves[-1].to != watch.number:
            return  # somebody moved it meanwhile
        try:
            self.ledger.rollback(f"{GUARDRAIL}{tripped.guardrail}: {tripped.says}")
        except HeadraceError as error:
            log.error("generation %d tripped %s (%s) and stays: %s", watch.number, tripped.guardrail, tripped.says, error)
            return
        self.metered.moves.labels("rolled_back").inc()
        log.warning("generation %d is rolled back: %s: %s", watch.number, tripped.guardrail, tripped.says)
        self._stamp = self._read_stamp()
        self._follow()

    def _cast_shadow(self, *, asked: bool = False) -> None:
        try:
            number = self._latest() if self.shadowed == "latest" else self.shadowed
            wanted = self.ledger.get(number) if number else None
            if wanted is not None and (wanted.key == self.current.generation or (number in self.open.refused and not asked)):
                wanted = None
            if (None if wanted is None else wanted.key) == (None if self.shadow is None else self.shadow.candidate.generation):
                return
            candidate = None if wanted is None else self._opened(wanted.number)
        except HeadraceError:
            if asked:
                raise
            return
        before, self.shadow = self.shadow, None
        if before is not None:
            before.close()
        if candidate is not None:
            log.info("generation %s answers silently beside %d", number, self.number)
            self.shadow = Shadow(
                candidate, self.metered, share=self.settings.shadow_share, waiting=self.settings.shadow_queue
            )  # fmt: skip

    def _latest(self) -> int:
        """The newest that is not live; 0 where there is none."""
        return max((one.number for one in self.ledger.all() if one.key != self.current.generation), default=0)

    def _needed(self) -> set[str]:
        """Keys of those that answer, or to which one may go back at once."""
        services = [self.current, *(self.arms.services.values() if self.arms else ())]
        services += [self._before] if self._before else []
        services += [self.shadow.candidate] if self.shadow else []
        return {one.generation for one in services}

    def _known(self, one: Generation) -> Known:
        says = str(one.verdict.get("says", ""))
        status: Status = "open" if one.key in self.open.by_key else "closed"
        if one.key == self.current.generation and one.number == self.number:
            status = "live"
        elif one.number == self.open.opening:
            status = "opening"
        elif one.number in self.open.refused:
            status, says = "refused", self.open.refused[one.number]
        elif self.arms is not None and one.number in {arm.generation for arm in self.arms.plan.arms}:
            status = "arm"
        elif self.shadow is not None and one.key == self.shadow.candidate.generation:
            status = "shadow"
        return Known(one.number, one.key, status, one.made, says)

    def _number_of(self, key: str) -> int:
        numbers = [one.number for one in self.ledger.all() if one.key == key]
        return self.ledger.live_number if self.ledger.live_number in numbers else next(iter(numbers), 0)

    def _read_stamp(self) -> Any:
        try:
            found = (self.run / "live.json").stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
