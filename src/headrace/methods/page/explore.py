"""A page filled slot by slot, with chance: so that every shown item has an exact propensity and other policies can be judged.

    p(item | slots above) = (1 - ε) softmax(score / T) + ε / |allowed|      over what is still allowed

Allowed: a candidate, not on the page yet, its category below its cap. The draw of a slot is a hash of (policy, request, slot,
seed), so the page of one request does not depend on the batch. T = 0 shows the best allowed item (with ε > 0, sometimes a
uniform one); T = 0 and ε = 0 is deterministic, and estimators refuse its slates.
Cost O(S K) a request. The price of exploration is measured: compare the rank and page rows of a report.
Source: the conditional form of Plackett-Luce sampling; propensities per slot as in slate off-policy evaluation.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Bool, Candidates, Float64, Int32, Requests, Slates
from headrace.contracts.rng import mix, seed_of, stable_hash, uniform


@config
class ExploreConfig:
    slots: Annotated[int, Gt(0)] = 10
    temperature: Annotated[float, Ge(0)] = 0.1
    epsilon: Annotated[float, Ge(0), Le(1)] = 0.02
    most_per_category: Annotated[int, Ge(0)] = 0
    """At most so many items of one (first) category on a page; 0 for no limit."""


class Explore:
    """A `Policy` over given candidates. The score is the last stage's. categories [n_items]: 0 is uncapped."""

    Config = ExploreConfig
    revision = 1

    def __init__(self, config: ExploreConfig, *, policy_id: str, categories: Int32 | None = None):
        self.config, self.policy_id, self.categories = config, policy_id, categories

    @property
    def deterministic(self) -> bool:
        return self.config.temperature == 0 and self.config.epsilon == 0

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates:
        if candidates is None:
            raise DataError("Explore fills a page from candidates and was given none: ask the cascade, which finds its own.")
        page = _Page(self.config, candidates, self.categories)
        keys = mix(stable_hash(requests.ids), seed_of(seed, self.policy_id))
        for slot in range(self.config.slots):
            chances = page.chances()
            # One draw against the running total: the first place where it is exceeded.
            total = chances.cumsum(1)
            draw = uniform(mix(keys, slot)) * total[:, -1]
            page.put(np.minimum((total <= draw[:, None]).sum(1), chances.shape[1] - 1), chances)
        return Slates(page.items(), np.where(page.items() > 0, page.log_prob(), 0.0), self.policy_id, self.deterministic)

    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64:
        if candidates is None:
            raise DataError("Explore needs the candidates a slate was drawn from to say how likely it was.")
        page = _Page(self.config, candidates, self.categories)
        for slot in range(slates.items.shape[1]):
            shown = slates.items[:, slot]
            match = (candidates.items == shown[:, None]) & (shown > 0)[:, None]
            page.put(np.where(match.any(1), match.argmax(1), -1), page.chances())
        return np.where(slates.items > 0, page.log_prob(), 0.0)


class _Page:
    """Pages being filled, all requests at once."""

    def __init__(self, config: ExploreConfig, candidates: Candidates, categories: Int32 | None):
        self.config, self.candidates = config, candidates
        score = candidates.scores[list(candidates.scores)[-1]].astype(np.float64)
        self.score = np.where(np.isnan(score), -np.inf, score)
        self.open = candidates.there & (self.score > -np.inf)
        capped = config.most_per_category > 0 and categories is not None
        self.category = categories[candidates.items] if capped and categories is not None else None
        self.places: list[Int32] = []
        self.logs: list[Float64] = []

    def allowed(self) -> Bool:
        if self.category is None or not self.places:
            return self.open
        places = np.stack(self.places, 1)  # [R, slots filled so far]
        shown = np.where(places >= 0, np.take_along_axis(self.category, np.maximum(places, 0), 1), -1)
        count = (self.category[:, :, None] == shown[:, None, :]).sum(2)
        below: Bool = (self.category == 0) | (count < self.config.most_per_category)
        return self.open & below

    def chances(self) -> Float64:
        """[R, K], each row summing to 1, or to 0 where nothing is allowed any more."""
        allowed = self.allowed()
        count = allowed.sum(1, keepdims=True)
        score = np.where(allowed, self.score, -np.inf)
        best = np.where(count > 0, score.max(1, keepdims=True), 0.0)
        if self.config.temperature > 0:
            weight = np.exp((score - best) / self.config.temperature)
        else:
            weight = np.zeros(score.shape)
            weight[np.arange(len(score)), score.argmax(1)] = count[:, 0] > 0
        softmax = weight / np.maximum(weight.sum(1, keepdims=True), 1e-300)
        spread = allowed / np.maximum(count, 1)
        mixed: Float64 = (1 - self.config.epsilon) * softmax + self.config.epsilon * spread
        return mixed

    def put(self, place: Int32, chances: Float64) -> None:
        """place [R]; -1, or a row with no chance left, leaves the slot empty."""
        rows = np.arange(len(place))
        chance = np.where(place >= 0, chances[rows, np.maximum(place, 0)], 0.0)
        with np.errstate(divide="ignore"):
            self.logs.append(np.log(chance))
        filled = chance > 0
        self.places.append(np.where(filled, place, -1).astype(np.int32))
        self.open = self.open.copy()
        self.open[rows[filled], place[filled]] = False

    def items(self) -> Int32:
        places = np.stack(self.places, 1)
        shown = np.take_along_axis(self.candidates.items, np.maximum(places, 0), 1)
        return np.where(places >= 0, shown, 0).astype(np.int32)

    def log_prob(self) -> Float64:
        return np.stack(self.logs, 1)
