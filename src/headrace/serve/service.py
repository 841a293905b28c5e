"""A generation that answers, takes events in and explains itself. It knows nothing of HTTP.

An answer is a pure function of (generation, what was asked, the history as of then). So a request sent again gets the page it
got, and an explanation is the answer worked out once more, stage by stage, and held against what was shown.
"""

import copy
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.build.graph import Graph
from headrace.cascade.answers import Answered, Names, Walk, pages, walk
from headrace.cascade.cascade import Cascade
from headrace.cascade.codes_in_words import CodesInWords
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.user_sides import StoredSides, user_sides
from headrace.contracts.incremental import Incremental
from headrace.contracts.requests import History, Requests
from headrace.contracts.serving import ServeConfig
from headrace.data.consent import Impersonal
from headrace.data.forget import ERASED, erased_users
from headrace.serve.accelerate import accelerated
from headrace.serve.asked import Asked
from headrace.serve.counting import OnlineCounting
from headrace.serve.event_log import EventLog, served_events
from headrace.serve.impressions import Impression, ImpressionLog
from headrace.serve.intake import Intake
from headrace.serve.kept_states import WHO, KeptStates, number_of
from headrace.serve.kept_up import KeptUp
from headrace.serve.looked_up import LookedUp
from headrace.serve.messages import Event, Received, Refused
from headrace.serve.metrics import Metrics
from headrace.serve.state import LayeredState


@dataclass(frozen=True)
class Given:
    """An answer and what it answers. again: it had been given before."""

    asked: Asked
    page: list[Answered]
    again: bool


class Service:
    """root: where served logs and the online state lie. settings: the plan's [serve] if None. now_us: the clock, UTC, µs."""

    def __init__(
        self, pipeline: Pipeline, root: Path, settings: ServeConfig | None = None, now_us: Callable[[], int] | None = None
    ):
        self.settings = settings or pipeline.plan.serve
        self.pipeline, self.root, self._wall_us = pipeline, root, now_us or (lambda: time.time_ns() // 1000)
        self.kept, self._erasures = KeptStates(self.settings.states_mb), 0
        self.cascade: Cascade = accelerated(pipeline, self.settings.runtime, self._keeping)
        read = [one.scorer.schema["history"].shape[1] for one in self.cascade.scorings if "history" in one.scorer.schema]
        self._newest = max(self.settings.history, *map(int, read), 0)
        self.names = Names.of(pipeline.log)
        self.codes = CodesInWords.of(self.cascade.retrievers.values(), pipeline.log, pipeline.cuts.test_us)
        self.metrics = Metrics(self.cascade.policy_id)
        (root / "state").mkdir(parents=True, exist_ok=True)
        self.state = LayeredState(root / "state", pipeline.log, pipeline.tables.key, map_gb=self.settings.map_gb)
        for user in erased_users(pipeline.graph.store.root / ERASED):  # also those erased before anything was served
            if not self.state.erased([user])[0]:
                self.state.forget(user)
        if self.state.stale:
            self.state.rebuild(served_events(root))
        self.impersonal = Impersonal(pipeline.tables.path)
        self.counting = OnlineCounting(self.state, pipeline.log.counts) if pipeline.plan.features.count_days else None
        if self.counting is not None:
            self.cascade.features = pipeline.feature_object.bound(self.counting.of([]))
        self.intake = Intake(self.state, pipeline.plan.data, pipeline.plan.kinds)
        self.event_log = EventLog(root, self.state, sync_s=self.settings.sync_s, rotate_s=self.settings.rotate_s)
        self.impressions = ImpressionLog(
            root, self.names.ids, share=self.settings.unshown_share, waiting=self.settings.queue,
            rotate_s=self.settings.rotate_s, count=self.metrics.impressions, erased=self.state.erased,
        )  # fmt: skip
        self._recent: OrderedDict[str, Asked] = OrderedDict()
        self._last_us, self._lock = 0, threading.Lock()

    @property
    def generation(self) -> str:
        return self.cascade.policy_id

    def now_us(self) -> int:
        """Never the same twice, so that an event is either before a request or after it."""
        with self._lock:
            self._last_us = max(self._last_us + 1, self._wall_us())
            return self._last_us

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
    ) -> Given:
        """Refused: more items than the page has slots, another request's id, or a preference where items have no vectors."""
        slots = self.cascade.slots if n is None else n
        if slots > self.cascade.slots:
            raise Refused("n", f"is {n}: this generation's page has {self.cascade.slots} slots. Ask for fewer.")
        if preference and self.pipeline.plan.features.item_vectors is None:
            raise Refused("preference", "can't be read: this generation's items have no vectors ([features] item_vectors).")
        asked = Asked(request_id, user_id, self.now_us(), seed, slots, tuple(sorted(set(exclude))), surface, preference or "")
        before = self.recent(request_id)
        if before is not None and not before.same(asked):
            raise Refused("request_id", f'"{request_id}" is another request\'s. Make a new one, or leave it out.', status=409)
        asked = before or asked
        with self.metrics.stage("whole"):
            walked = self.walk(asked)
            page = pages(self.cascade, self.names, walked)[0][: asked.slots]
        if before is None and not self.state.erased([user_id])[0]:
            self._remember(asked)
            self.impressions.put(Impression(asked, self.generation, walked))
        return Given(asked, page, before is not None)

    def walk(self, asked: Asked) -> Walk:
        """Every stage of the answer, as of the request's moment."""
        return walk(self._without(asked.excluded), self.requests(asked), seed=asked.seed, timed=self.metrics.stage)

    def requests(self, asked: Asked) -> Requests:
        """One row, with history and features as of its moment. Without consent it says nothing of who asks."""
        at_us, users = np.array([asked.at_us]), self.state.numbers([asked.user_id])
        name: str | None = asked.user_id
        who = self._who(asked)
        if self.impersonal.holds(asked.user_id, asked.at_us):
            name, users = None, np.zeros(1, np.int32)
            history = History(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
        else:
            history = self.state.history([asked.user_id], at_us, self._newest)
        features = self.pipeline.feature_object
        if self.counting is not None:
            features = features.bound(self.counting.of([name]))
        known = {**features.users_at(users, at_us), WHO: np.array([who])}
        requests = Requests(np.array([asked.request_id]), users, at_us, history, known)
        return self.pipeline.with_preferences(requests, [asked.preference])

    def receive(self, events: Sequence[Event], *, one: bool = False) -> Received:
        received = self.intake.take(events, self.now_us(), one=one)
        self.metrics.events("stored", received.stored)
        self.metrics.events("repeated", received.repeated)
        self.metrics.events("erased", received.erased)
        return received

    def recent(self, request_id: str) -> Asked | None:
        found = self._recent.get(request_id)
        return None if found is None or self.state.erased([found.user_id])[0] else found

    def close(self) -> None:
        """After the last answer. What was logged is on disk when it returns."""
        self.impressions.close()
        self.event_log.close()
        self.state.close()

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
        if self.impersonal.holds(asked.user_id, asked.at_us):
            self.kept.drop(number_of(asked.user_id))
            return 0
        return 0 if self.state.erased([asked.user_id])[0] else number_of(asked.user_id)

    def _without(self, excluded: Sequence[str]) -> Cascade:
        """To one request, an item it excludes is as good as withdrawn."""
        numbers = [self.state.items[one] for one in excluded if one in self.state.items]
        if not numbers:
            return self.cascade
        mine = copy.copy(self.cascade)
        mine.available = self.cascade.available.copy()
        mine.available[numbers] = False
        return mine

    def _remember(self, asked: Asked) -> None:
        self._recent[asked.request_id] = asked
        while len(self._recent) > self.settings.recent:
            self._recent.popitem(last=False)
