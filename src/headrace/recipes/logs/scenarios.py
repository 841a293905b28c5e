"""A log of several scenarios, one upstream model of all of them, and a small log of each, which ends later.

| time | the upstream | a scenario |
|---|---|---|
| before | history | history |
| first | `Whole.lists`: learned from, several tasks; then `held`, which stops it | history |
| then | runs, frozen | `lists`, learned from: this scenario's own rows; then `held`, which stops it |
| last | runs, frozen | `test`: how pairs are ordered; `cold`: what is proposed to users new to the scenario |

No label is learned from by both, and none of `test` by either. What the upstream knows is streamed: a request carries the last
state strictly before its moment. In `leaked` it carries the public code's form instead: one sum over all until the test, of which
a row that is learned from is a part, and all that came after it too.
A scenario has the users and items of the whole, and a log of its own: a request's history is what its user chose in the scenario.
`reading_all` is the same scenario where histories are of all scenarios and of what was viewed beside.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.cascade.founding import known_by, states
from headrace.cascade.layer_search import Searched, asked_of, compared
from headrace.cascade.upstream import Frozen
from headrace.cascade.validation import value_of_ranker
from headrace.contracts.config import parse
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Allowed, Float32, Float64, Int32, Int64, Requests
from headrace.data.aggregator import ALWAYS, Decay, leaking
from headrace.data.foundation import USER, Foundation, States
from headrace.data.histories import HistoryStore
from headrace.methods.rank.foundation import FoundationConfig, FoundationRanker
from headrace.methods.retrieve.standalone import Standalone, StandaloneConfig
from headrace.nn.seeded import seeded
from headrace.recipes.logs.exposure import Truths
from headrace.train.trainer import train

Settings = Mapping[str, Any]
UsersAt = Callable[[Int32, Int64], Mapping[str, NDArray[Any]]]
NEWEST = 50
"""Events of history that a request carries."""


@dataclass(frozen=True)
class Codes:
    """What scorers and retrievers ask of "features"."""

    sizes: Mapping[str, int]
    users_at: UsersAt
    item_vectors: Float32 | None = None


@dataclass(frozen=True)
class Asked:
    """Requests, and what each item would be worth to who asks, [R, n_items]."""

    requests: Requests
    worth: Float64

    def found(self, retriever: Any, available: NDArray[np.bool_], k: int) -> tuple[float, float]:
        """Of all that is worth something, what k proposals hold, and all of it."""
        items = retriever.retrieve(self.requests, k, Allowed(available)).items
        return float(np.take_along_axis(self.worth, items, 1)[items > 0].sum()), float(self.worth[:, available].sum())


@dataclass(frozen=True)
class Whole:
    """Of all scenarios. users, at_us [R], items [R, S]: all requests in the order of time, with what was shown."""

    interactions: Interactions
    features: Codes
    lists: CandidateLists
    held: CandidateLists
    users: Int32
    at_us: Int64
    items: Int32
    events: HistoryStore

    def requests_of(self, users: Int32, at_us: Int64) -> Requests:
        features = dict(self.features.users_at(users, at_us))
        return Requests(np.full(len(users), ""), users, at_us, self.events.as_of(users, at_us, NEWEST), features)

    def over(self, ranker: FoundationRanker) -> Frozen:
        events = self.events.events
        return Frozen(ranker, self.users, self.at_us, self.items, self.requests_of, len(events), self.interactions.n_items)


@dataclass(frozen=True)
class Scenario:
    """interactions, chosen: what was chosen in it before `lists`, and before `held`. wanted: as `cold`, of who was there on the
    days of `held`, by what they chose."""

    name: str
    interactions: Interactions
    chosen: Interactions
    features: Codes
    lists: CandidateLists
    held: CandidateLists
    test: Truths
    wanted: Asked
    cold: Asked
    events: HistoryStore

    @property
    def rows(self) -> int:
        return int(self.lists.candidates.there.sum())

    def artifacts(self, lists: CandidateLists) -> dict[str, Any]:
        return {"features": self.features, "candidate_lists": lists}

    def reading_all(self) -> "Scenario":
        def with_all(of: Any) -> Any:
            asked = of.requests
            return replace(of, requests=replace(asked, history=self.events.as_of(asked.users, asked.at_us, NEWEST)))

        return replace(self, lists=with_all(self.lists), held=with_all(self.held), test=with_all(self.test))

    def knowing(self, foundation: Foundation) -> "Scenario":
        """Every request carries what the upstream says of its user as of then."""

        def told(users: Int32, at_us: Int64) -> Mapping[str, NDArray[Any]]:
            return {**self.features.users_at(users, at_us), USER: foundation.users_at(users, at_us)}

        def knowing(of: Any) -> Any:
            asked = of.requests
            return replace(of, requests=replace(asked, features=told(asked.users, asked.at_us)))

        parts = {name: knowing(getattr(self, name)) for name in ("lists", "held", "test", "wanted", "cold")}
        return replace(self, features=replace(self.features, users_at=told), **parts)


@dataclass(frozen=True)
class Scenarios:
    """parts: the one with the most rows first. until_us: when the test begins."""

    whole: Whole
    parts: Sequence[Scenario]
    until_us: int

    @property
    def moments_us(self) -> tuple[int, int]:
        """At which scenarios ask what is known of items: when their rows begin, and when those end."""
        return self.parts[0].interactions.cut_us, self.parts[0].chosen.cut_us


@dataclass(frozen=True)
class Upstream:
    """A trained upstream, frozen, and which of its layers the search chose. moments_us: when it is asked about items."""

    ranker: FoundationRanker
    searched: Searched
    whole: Whole
    moments_us: Sequence[int]
    until_us: int
    decay: Decay = field(default_factory=Decay)

    @classmethod
    def of(cls, log: Scenarios, settings: Settings, seed: int) -> "Upstream":
        config, whole = parse(FoundationConfig, settings, where="upstream"), log.whole
        artifacts = {"features": whole.features, "candidate_lists": whole.lists}
        with seeded(seed, "upstream"):
            ranker = FoundationRanker(config, seed=seed)
            learned = ranker.learn(whole.interactions, artifacts)
        train(learned, config.train, seed=seed, validate=lambda: value_of_ranker(ranker, whole.held), artifacts=artifacts)
        ranker.eval()
        frozen, decay = whole.over(ranker), Decay()
        asked = asked_of(frozen, whole.held, seed)
        return cls(ranker, compared(frozen, asked, decay), whole, log.moments_us, log.until_us, decay)

    @property
    def layers(self) -> list[str]:
        return [name for name in self.ranker.widths if name != "UR"]

    def known(self, layer: str) -> Foundation:
        """Of a layer: states as of each request."""
        users, items = states(self.whole.over(self.ranker), layer, self.decay)
        return self._of(users, items, layer)

    def leaked(self, layer: str) -> Foundation:
        """Of users, one sum over all until the test, known from the beginning; UR is left out."""
        whole = self.whole.over(self.ranker)
        frozen = whole.only(whole.at_us < self.until_us)
        _, users, _, at_us = frozen.samples
        values = np.concatenate([found[layer] for _, found in frozen.runs(lambda *_: None, "leaking")])
        sums = leaking(users, at_us, values, frozen.n_users, self.decay)
        both = np.concatenate([np.zeros((len(sums), self.ranker.widths["UR"]), np.float32), sums], 1)
        always = States(np.arange(len(both) + 1), np.full(len(both), ALWAYS), both)
        _, items = states(frozen, layer, self.decay)
        return self._of(always, items, layer)

    def _of(self, users: States, items: States, layer: str) -> Foundation:
        searched = replace(self.searched, best=layer)
        items = as_of(items, self.moments_us)
        return known_by(self.ranker, users, items, searched, self.decay, self.moments_us[0], "")


def as_of(states: States, moments_us: Sequence[int]) -> States:
    """What is known at these moments, in their order, and nothing between them: a row an entity and moment."""
    n = len(states.offsets) - 1
    entities = np.arange(n, dtype=np.int32)
    values = np.stack([states.at(entities, np.full(n, at_us)) for at_us in moments_us], 1)
    before = np.tile(np.array(moments_us) - 1, n)
    return States(np.arange(n + 1) * len(moments_us), before, values.reshape(n * len(moments_us), -1))


def retriever_of(part: Scenario, foundation: Foundation, settings: Settings, seed: int, k: int) -> tuple[Standalone, float]:
    """Trained on what was chosen in a scenario, stopped by what was chosen in it on the days after; and by which value."""
    config = parse(StandaloneConfig, settings, where="standalone")
    artifacts = {"features": part.features, "foundation": foundation}
    with seeded(seed, "standalone"):
        retriever = Standalone(config, seed=seed)
        learned = retriever.learn(part.chosen, artifacts)

    def value() -> float:
        found, there = part.wanted.found(retriever, part.chosen.available, k)
        return found / there if there else 0.0

    train(learned, config.train, seed=seed, validate=value, artifacts=artifacts)
    return retriever, value()
