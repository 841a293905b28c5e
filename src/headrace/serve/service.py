"""A generation that answers, takes events in and explains itself. It knows nothing of HTTP.

An answer is a pure function of (generation, what was asked, the history as of then). So a request sent again gets the page it
got, and an explanation is the answer worked out once more, stage by stage, and held against what was shown.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from headrace.build.graph import Graph
from headrace.cascade.answers import Answered, Names, Walk, pages, walk
from headrace.cascade.cascade import Cascade
from headrace.cascade.codes_in_words import CodesInWords
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.sparing import Skips, never, untimed
from headrace.cascade.user_sides import StoredSides, user_sides
from headrace.contracts.digests import digest
from headrace.contracts.incremental import Incremental
from headrace.contracts.requests import History, Requests
from headrace.contracts.serving import ServeConfig
from headrace.data.consent import Impersonal
from headrace.data.erased import digest_of
from headrace.data.forget import ERASED, erased_users, record_erasure
from headrace.serve.asked import HISTORY, ITEMS, Asked
from headrace.serve.catalogue.newcomers import NewItems
from headrace.serve.catalogue.searched import Searched
from headrace.serve.catalogue.shelf import Shelf
from headrace.serve.given import Given, noted
from headrace.serve.guard.deadline import StageTimes
from headrace.serve.intake import Intake
from headrace.serve.logs.candidate_rows import ItemIds, Outcome
from headrace.serve.logs.events import served_events
from headrace.serve.logs.files import alone
from headrace.serve.logs.forgetting import forget_logged
from headrace.serve.logs.impressions import Impression
from headrace.serve.messages import Event, Filters, Received, Refused
from headrace.serve.metrics import Metrics
from headrace.serve.scorers.accelerate import accelerated
from headrace.serve.scorers.kept_states import WHO, KeptStates, number_of
from headrace.serve.scorers.kept_up import KeptUp
from headrace.serve.scorers.looked_up import LookedUp
from headrace.serve.shared import Shared
from headrace.serve.state.counting import OnlineCounting
from headrace.serve.state.layered import LayeredState
from headrace.serve.state.opening import open_state
from headrace.serve.state.recent import Assigned, Remembered
from headrace.serve.state.redis_server import Unavailable
from headrace.serve.workers.seat import ALONE, Seat


class Service:
    """root: where served logs and the online state lie. settings: the plan's [serve] if None. now_us: the clock, UTC, µs.

    beside: another that is open on the same folder, whose settings, clock, counters, logs and online state it goes on with.
    seat: which of the processes that serve the folder this one is.
    """

    def __init__(
        self, pipeline: Pipeline, root: Path, settings: ServeConfig | None = None, now_us: Callable[[], int] | None = None,
        *, beside: "Service | None" = None, seat: Seat = ALONE,
    ):  # fmt: skip
        self.settings: ServeConfig = settings or (pipeline.plan.serve if beside is None else beside.settings)
        self.pipeline, self.root = pipeline, root
        seat = seat if beside is None else beside.shared.seat
        self.kept, self._erasures = KeptStates(self.settings.states_mb / seat.of), 0
        self.cascade: Cascade = accelerated(pipeline, self.settings.runtime, self._keeping)
        read = [one.scorer.schema["history"].shape[1] for one in self.cascade.scorings if "history" in one.scorer.schema]
        self._newest = max(self.settings.history, *map(int, read), 0)
        self.codes = CodesInWords.of(self.cascade.retrievers.values(), pipeline.log, pipeline.cuts.test_us)
        self.impersonal = Impersonal(pipeline.tables.path)
        self.metrics: Metrics = Metrics(self.cascade.policy_id) if beside is None else beside.metrics
        self.times = StageTimes(self.metrics.of_stage)
        self.state = self._state(beside, seat)
        try:
            self._over_state()
            shared = beside.shared if beside is not None else Shared(
                root, pipeline.graph.store.root, self.settings, self.state, self.metrics, now_us, seat
            )  # fmt: skip
        except BaseException:
            self.state.close()
            raise
        self.shared: Shared = shared
        try:
            self.event_log, self.impressions = shared.event_log, shared.impressions
            self.shelf = Shelf(pipeline, shared.catalogue, Names.of(pipeline.log), self.cascade.available)
            self.names, self._item_ids = self.shelf.names, ItemIds(self.shelf.names.ids)
            self.searched = Searched(pipeline, self.shelf)
            self.searched.ready()
            self.new_items = NewItems(pipeline, self.shelf, self.state, self.cascade, self.settings.newcomers)
            self.new_items.ready()
        except BaseException:
            self.close()
            raise
        self.tally = shared.tally(self.generation)

    def _state(self, beside: "Service | None", seat: Seat) -> LayeredState:
        log, key, folder = self.pipeline.log, self.pipeline.tables.key, self.root / "state"
        if beside is not None:
            return beside.state.beside(log, key)
        folder.mkdir(parents=True, exist_ok=True)
        return open_state(folder, log, key, self.settings, seat)

    def _over_state(self) -> None:
        """What reads the online state, once it holds what this generation lacks."""
        pipeline = self.pipeline
        gone = list(map(digest_of, erased_users(pipeline.graph.store.root / ERASED)))  # also before anything was served
        for mine, known in zip(gone, self.state.marked(gone).tolist(), strict=True):
            if not known:
                self.state.forget_digest(mine)
        if self.state.stale:
            self.state.rebuild(served_events(self.root))
        self.counting = OnlineCounting(self.state, pipeline.log.counts) if pipeline.plan.features.count_days else None
        if self.counting is not None:
            self.cascade.features = pipeline.feature_object.bound(self.counting.of([]))
        self.intake = Intake(self.state, pipeline.plan.data, pipeline.plan.kinds)

    @property
    def generation(self) -> str:
        return self.cascade.policy_id

    def now_us(self) -> int:
        return self.shared.now_us()

    def recommend(
        self,
        user_id: str,
        request_id: str,
        *,
        seed: int = 0,
        n: int | None = None,
        exclude: Sequence[str] = (),
        surface: str = "home",
        preference: str | None = None,
        filters: Filters | None = None,
        skips: Skips = never,
        assigned: Assigned | None = None,
    ) -> Given:
        """skips: the stages there is no time for. assigned: the arm that the request fell on. One sent again gets what it got.

        Refused: more items than the page has slots, another request's id, or a preference where items have no vectors."""
        before = self.remembered(request_id)
        slots = n or (self.cascade.slots if before is None else before.asked.slots)
        asked = Asked(
            request_id, user_id, self.now_us(), seed, slots, tuple(sorted(set(exclude))), surface, preference or "",
            filters=self.shelf.rules.read(filters).said,
        )  # fmt: skip
        if before is not None:
            return self._again(asked, before)
        if slots > self.cascade.slots:
            raise Refused("n", f"is {n}: this generation's page has {self.cascade.slots} slots. Ask for fewer.")
        if preference and self.pipeline.plan.features.item_vectors is None:
            raise Refused("preference", "can't be read: this generation's items have no vectors ([features] item_vectors).")
        started = time.perf_counter()
        with self.tally.failures(), self.metrics.stage("whole"):
            asked, walked, page = self._answered(asked, skips)
        self.metrics.degraded(asked.skipped)
        took_s = time.perf_counter() - started
        given = Given(asked, page, self.generation, self.cascade.deterministic, assigned, walked, took_s)
        if not self._noted(given, walked) and (before := self.remembered(request_id)) is not None:
            return self._again(asked, before)
        return given

    def _again(self, asked: Asked, before: Remembered) -> Given:
        """What it got."""
        if not before.asked.same(asked):
            says = f'"{asked.request_id}" is another request\'s. Make a new one, or leave it out.'
            raise Refused("request_id", says, status=409)
        page = self.shelf.still(before.page)
        return Given(before.asked, page, before.generation, before.deterministic, before.assigned)

    def _noted(self, given: Given, walked: Walk) -> bool:
        """False where another process answered the request meanwhile: its page is the one that counts."""
        asked, assigned = given.asked, given.assigned
        known = not self.state.erased([asked.user_id])[0]
        expected = self._expected(walked, asked.slots)
        first = noted(given, self.shared.lately, self.tally, self.shared.recent if known else None, expected)
        if first and known:
            self.impressions.put(Impression(asked, self.generation, self._item_ids, Outcome.of(walked), assigned))
        return first

    def _answered(self, asked: Asked, skips: Skips) -> tuple[Asked, Walk, list[Answered]]:
        """As of a later moment where something of the page was withdrawn meanwhile."""
        while True:
            if self.shelf.moved_us >= asked.at_us:
                asked = replace(asked, at_us=self.now_us())
            try:
                walked = self.walk(asked, skips)
            except Unavailable:
                asked = replace(asked, skipped=(HISTORY,))
                continue
            page = pages(self.cascade, self.names, walked, detailed=False)[0][: asked.slots]
            self.state.look_again()
            if len(self.shelf.still(page)) == len(page):
                behind = (ITEMS,) if self.shelf.catalogue.behind else ()
                return replace(asked, skipped=(*asked.skipped, *behind, *walked.skipped)), walked, page

    def _expected(self, walked: Walk, slots: int) -> float:
        """The chance that something of the page is clicked, by a calibrated ranker; NaN of another, or where it had no time."""
        last = self.cascade.scorings[-1]
        if last.calibrated is None or last.stage not in walked.scored:
            return float("nan")
        found, shown = walked.scored[last.stage], walked.slates.items[0, :slots]
        mine = np.isin(found.items[0], shown[shown > 0])
        return float(1 - np.prod(1 / (1 + np.exp(found.scores[last.stage][0][mine].astype(np.float64)))))

    def walk(self, asked: Asked, skips: Skips | None = None, *, counted: bool = True) -> Walk:
        """Every stage of the answer, as of the request's moment. skips: those it left out, if None. counted: as an answer's."""
        out, cascade = skips or asked.skipped.__contains__, copy.copy(self.cascade)
        cascade.available = self.shelf.offered(asked, now=skips is not None)
        personal = HISTORY not in asked.skipped and not self.impersonal.holds(asked.user_id, asked.at_us)
        self.new_items.join(cascade, asked, now=skips is not None, personal=personal)
        return walk(cascade, self.requests(asked), seed=asked.seed, timed=self.times.timed if counted else untimed, skips=out)

    def requests(self, asked: Asked) -> Requests:
        """One row, with history and features as of its moment. Without consent it says nothing of who asks."""
        at_us, users = np.array([asked.at_us]), self.state.numbers([asked.user_id])
        name: str | None = asked.user_id
        who = self._who(asked)
        if self.impersonal.holds(asked.user_id, asked.at_us):
            name, users = None, np.zeros(1, np.int32)
            history = History(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
        else:
            history = (
                self.state.log.store.as_of(users, at_us, self._newest) if HISTORY in asked.skipped
                else self.state.history([asked.user_id], at_us, self._newest)
            )  # fmt: skip
        features = self.pipeline.feature_object
        if self.counting is not None:
            features = features.bound(self.counting.of([name], above=HISTORY not in asked.skipped))
        known = {**features.users_at(users, at_us), WHO: np.array([who])}
        requests = Requests(np.array([asked.request_id]), users, at_us, history, known)
        return self.pipeline.with_preferences(requests, [asked.preference])

    def receive(self, events: Sequence[Event], *, one: bool = False) -> Received:
        received = self.intake.take(events, self.now_us(), one=one)
        self.metrics.events("stored", received.stored)
        self.metrics.events("repeated", received.repeated)
        self.metrics.events("erased", received.erased)
        for event in events:
            positive = event.kind is None or self.state.positive is None or event.kind in self.state.positive
            if event.request_id is not None and positive:
                self.shared.clicked(event.request_id, event.item_id)
        return received

    def recent(self, request_id: str) -> Asked | None:
        """What was asked lately, of this generation."""
        found = self.remembered(request_id)
        return found.asked if found is not None and found.generation == self.generation else None

    def remembered(self, request_id: str) -> Remembered | None:
        """The answer as it was given, by whatever generation."""
        found = self.shared.recent.get(request_id)
        return None if found is None or self.state.erased([found.asked.user_id])[0] else found

    def close(self) -> None:
        """After its last answer. With the last generation, what was logged is on disk when it returns."""
        if len(self.state.views) == 1:
            self.shared.close()
        self.state.close()

    def forget(self, user_id: str) -> dict[str, int]:
        """Rows removed of what was served, by table. From the first of them on the user is nobody, whatever is sent; no import
        takes them in again either."""
        with alone(self.root, "erasing"):
            with alone(self.root):
                record_erasure(self.pipeline.graph.store.root / ERASED, user_id, datetime.now(UTC))
            rows = forget_logged(self.root, [user_id], self.state.forget(user_id))
            self.shared.recent.forget(self.state.erased)
            self.state.followed([digest(user_id)])
        return rows

    def _keeping(self, stage: str, built: Any, served: Any) -> Any:
        """A scorer that keeps something of its users, where it can."""

        def count(outcome: str) -> None:
            self.metrics.states(stage, outcome)

        if self.settings.states_mb and isinstance(built, Incremental) and built.incremental:
            return KeptUp(stage, built, served, self.kept, count)
        # where an erasure took the stored states, the server makes its own, as it does its ONNX files
        sides = user_sides(self.pipeline, stage, built, Graph(self.pipeline.graph.store))
        return served if sides is None else LookedUp(stage, built, served, StoredSides(sides), self.kept, count)

    def _who(self, asked: Asked) -> int:
        """By whom what is kept goes: nothing of who was erased or does not consent."""
        if self.state.erasures != self._erasures:  # rare, so whoever it was, all of it is made anew
            self._erasures = self.state.erasures
            self.kept.clear()
            self.shared.recent.forget(self.state.erased)
        if self.impersonal.holds(asked.user_id, asked.at_us):
            self.kept.drop(number_of(asked.user_id))
            return 0
        return 0 if self.state.erased([asked.user_id])[0] else number_of(asked.user_id)
