"""The stages as one policy: retrieve → pre-rank → rank → page, each answer a pure function of (generation, request, seed)."""

from collections.abc import Mapping, Sequence

import numpy as np

from headrace.cascade.join import join
from headrace.cascade.newcomers import Newcomers
from headrace.cascade.scoring import Scoring, propose, scored, with_pairs
from headrace.cascade.sparing import Skips, Timed, never, spared, untimed
from headrace.cascade.steering import Steering
from headrace.contracts.requests import Allowed, Bool, Candidates, Float64, Requests, Slates
from headrace.contracts.seams import Pinning, Policy, Retriever
from headrace.data.features import Features

_ROWS_AT_ONCE = 256  # a retriever scores [rows, catalogue], the ranker [rows, candidates, width]


class Cascade:
    """retrievers: those whose proposals are joined, in the order the scorers know. fallback: (name, retriever).

    It finds its own candidates, so it is asked with None. seen_items: whether what a user had before may come again.
    features: what candidates carry is read from them; None: they carry nothing. steering: what a preference in words does to the
    scores; None: it does nothing. newcomers: items that came since the build; None: there are none.
    """

    newcomers: Newcomers | None = None

    def __init__(
        self,
        retrievers: Mapping[str, Retriever],
        fallback: tuple[str, Retriever],
        scorings: Sequence[Scoring],
        page: Policy,
        *,
        k: int,
        slots: int,
        available: Bool,
        seen_items: bool,
        features: Features | None = None,
        steering: Steering | None = None,
    ):
        self.retrievers, self.fallback, self.scorings, self.page = retrievers, fallback, scorings, page
        self.k, self.slots, self.available, self.seen_items = k, slots, available, seen_items
        self.features, self.steering = features, steering

    @property
    def policy_id(self) -> str:
        return self.page.policy_id

    @property
    def deterministic(self) -> bool:
        return self.page.deterministic

    def allowed(self, requests: Requests) -> Allowed:
        return Allowed(self.available, None if self.seen_items else requests.history)

    def recall(self, requests: Requests, skips: Skips = never, timed: Timed = untimed) -> Candidates:
        """All retrievers' proposals, joined. Where they leave a page short, the fallback's too, under the name "fallback".

        skips: which retrievers are left out, by "retrieve.NAME"; their scores are there, of nothing.
        """
        found = self._proposed(requests, spared(self.retrievers, skips, timed))
        if self.features is not None:
            found = with_pairs(self.features, requests, found)
        return found if self.newcomers is None else self.newcomers.beside(requests, found, self.features)

    def _proposed(self, requests: Requests, retrievers: Mapping[str, Retriever]) -> Candidates:
        allowed = self.allowed(requests)
        found = propose(retrievers, requests, self.k, allowed)
        short = found.there.sum(1) < self.slots
        if not short.any():
            return found
        more = self.fallback[1].retrieve(requests, self.k, allowed)
        hidden = Candidates(np.where(short[:, None], more.items, 0), more.scores)
        alone = {name: Candidates(np.where(np.isnan(s), 0, found.items), {name: s}) for name, s in found.scores.items()}
        return join({**alone, "fallback": hidden})

    def candidates(self, requests: Requests) -> Candidates:
        """Recalled and scored, best first; what the page's rules pin joins where it may be shown at all."""
        found = self.recall(requests)
        for scoring in self.scorings:
            _, found = self.scored(scoring, requests, found)
        return self.with_pins(requests, found)

    def scored(self, scoring: Scoring, requests: Requests, candidates: Candidates) -> tuple[Candidates, Candidates]:
        """One stage: all that reached it with its score, best first, and those that go on."""
        if self.newcomers is None:
            return scored(scoring, requests, candidates, self.steering)
        return self.newcomers.scored(scoring, requests, candidates, self.steering)

    def with_pins(self, requests: Requests, candidates: Candidates) -> Candidates:
        if self.newcomers is not None:
            candidates = self.newcomers.few(candidates)
        if not isinstance(self.page, Pinning):
            return candidates
        return self.page.with_pins(requests, candidates, self.allowed(requests))

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates:
        parts = [
            self.page.act(part, candidates.take(rows) if candidates else self.candidates(part), seed=seed)
            for rows, part in requests.chunks(_ROWS_AT_ONCE)
        ]
        items, logs = (np.concatenate([getattr(part, name) for part in parts]) for name in ("items", "log_prob"))
        return Slates(items, logs, self.policy_id, self.deterministic)

    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64:
        return np.concatenate(
            [
                self.page.log_prob(part, slates.take(rows), candidates.take(rows) if candidates else self.candidates(part))
                for rows, part in requests.chunks(_ROWS_AT_ONCE)
            ]
        )
