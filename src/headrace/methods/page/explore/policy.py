"""A page filled slot by slot, with chance: so that every shown item has an exact propensity and other policies can be judged.

    p(item | slots above) = (1 - ε) softmax(s / T) + ε / |allowed|      over what is still allowed
    s = (1 - mmr) (score + Σ log factor) - mmr σ max cosine(item, items above)

Allowed: a candidate that the last stage scored, not on the page, in no rule's block nor in the request's "exclude" (a feature
of item numbers [R, E], padded with 0), each of its categories below its cap. A pinned slot is not drawn (see `rules`), and what
is pinned counts toward caps from the first slot. σ is the standard deviation of the request's own scores, 1 where they are all
equal: MMR over standardised scores, kept in units of the score, so that T means the same at every mmr. The cosine is that of item
vectors, or of category sets.
The draw of a slot is a hash of (policy, request, slot, seed), so the page of one request does not depend on the batch. T = 0
shows the best allowed item (with ε > 0, sometimes a uniform one); T = 0 and ε = 0 is deterministic, and estimators refuse it.
Cost O(S K) a request, times W with caps and dim with vectors. The price of exploration is measured: compare the rank and page
rows of a report.
Source: the conditional form of Plackett-Luce sampling; propensities per slot as in slate off-policy evaluation. MMR: Carbonell
and Goldstein, SIGIR 1998, whose similarity to the query is the score here; that it is standardised is our reading.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from headrace.contracts.beyond import Beyond
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, Float64, Int32, Int64, Requests, Slates
from headrace.contracts.rng import mix, seed_of, stable_hash, uniform
from headrace.methods.page.explore.diversity import BagLikeness, Caps, Likeness, VectorLikeness, tidy_bags, unit_rows
from headrace.methods.page.explore.filling import Filling, filled_alone
from headrace.methods.page.explore.rules import Rules
from headrace.methods.page.explore.settings import ExploreConfig


class Explore:
    """A `Policy` over given candidates. The score is the last stage's.

    categories [n_items] or [n_items, W], 0 for none. vectors [n_items, dim], for mmr. rules: `config.rules`, resolved.
    """

    Config = ExploreConfig
    revision = 1

    def __init__(
        self,
        config: ExploreConfig,
        *,
        policy_id: str,
        categories: Int32 | None = None,
        vectors: Float32 | None = None,
        rules: Rules | None = None,
    ):
        self.config, self.policy_id = config, policy_id
        self.bags = None if categories is None else tidy_bags(categories)
        self.vectors = None if vectors is None or config.mmr == 0 else unit_rows(vectors)
        self.rules = Rules() if rules is None else rules
        if self.rules.rules != config.rules:
            raise ConfigError(
                f"[page.explore] has {len(config.rules)} rules and was given {len(self.rules.rules)}: "
                "pass rules=resolve(config.rules, items, categories, bags)."
            )
        if config.most_per_category and self.bags is None:
            raise ConfigError(
                "[page.explore] most_per_category needs categories, and the items have none. Leave it out, or add them."
            )
        if config.mmr and self.bags is None and self.vectors is None:
            raise ConfigError(
                "[page.explore] mmr needs item vectors or categories, and there are neither. Leave it out, or add them."
            )

    @property
    def deterministic(self) -> bool:
        return self.config.temperature == 0 and self.config.epsilon == 0

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates:
        if candidates is None:
            raise DataError("Explore fills a page from candidates and was given none: ask the cascade, which finds its own.")
        page = self._page(requests, candidates)
        keys = mix(stable_hash(requests.ids), seed_of(seed, self.policy_id))
        draws = uniform(mix(keys[:, None], np.arange(self.config.slots, dtype=np.uint64)))
        places = np.full(draws.shape, -1)
        propensity = np.ones(draws.shape)
        if len(requests) == 1 and page.scores_alone:
            places[0], propensity[0] = filled_alone(self.config, page.score[0], draws[0])
        else:
            self._fill(page, draws, places, propensity)
        items = np.where(places >= 0, candidates.items[page.rows[:, None], places], 0).astype(np.int32)
        return Slates(items, np.log(propensity), self.policy_id, self.deterministic)

    def _fill(self, page: Filling, draws: Float64, places: Int64, propensity: Float64) -> None:
        """Writes to places and propensity [R, slots]."""
        for slot in range(self.config.slots):
            chances = page.chances(slot)
            # One draw against the running total: the first place where it is exceeded.
            total = np.add.accumulate(chances, 1)
            whole = total[:, -1]
            draw = np.minimum(draws[:, slot] * whole, np.nextafter(whole, 0.0))
            place = np.add.reduce(total <= draw[:, None], 1, dtype=np.int64)
            found = whole > 0
            if not found.all():
                place = np.where(found, place, -1)
            page.put(slot, place)
            places[:, slot] = place
            propensity[:, slot] = np.where(found, chances[page.rows, place], 1.0)

    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64:
        """-inf for what could not stand there, a slot beyond the page's among it."""
        if candidates is None:
            raise DataError("Explore needs the candidates a slate was drawn from to say how likely it was.")
        page = self._page(requests, candidates)
        chance = np.where(slates.items > 0, 0.0, 1.0)
        for slot in range(min(slates.items.shape[1], self.config.slots)):
            match = (candidates.items == slates.items[:, slot, None]) & candidates.there
            place = np.where(match.any(1), match.argmax(1), -1)
            found = np.where(place >= 0, page.chances(slot)[page.rows, place], 0.0)
            chance[:, slot] = np.where(slates.items[:, slot] > 0, found, 1.0)
            page.put(slot, place)
        with np.errstate(divide="ignore"):
            return np.log(chance)

    def with_pins(self, requests: Requests, candidates: Candidates, allowed: Allowed) -> Candidates:
        """The candidates, and what is pinned for the request and may be shown to it."""
        return self.rules.with_pins(requests, candidates, allowed) if self.rules.rules else candidates

    def pinned(self, requests: Requests, slates: Slates) -> Bool:
        """Whether a rule put each item there, [R, S]: the propensity of 1 of such a slot is no choice of the scores."""
        acted = self.rules.acted(slates.items, self.rules.in_force(requests))
        return np.asarray(acted[:, :, [rule.pin is not None for rule in self.rules.rules]].any(2))

    def welcoming(
        self, numbers: Int32, categories: Int32, vectors: Float32 | None, encode: Callable[[Sequence[str]], Int32]
    ) -> "Explore":
        """The same page for items beyond the build's too."""
        made: Any = copy.copy(self)
        if self.bags is not None:
            made.bags = Beyond(self.bags, numbers, tidy_bags(categories))
        if self.vectors is not None and vectors is not None:
            made.vectors = Beyond(self.vectors, numbers, unit_rows(vectors))
        members: list[Any] = []
        for rule, held in zip(self.rules.rules, self.rules.members, strict=True):
            named = encode([rule.target])[0] if held is not None else 0
            members.append(None if held is None else Beyond(held, numbers, (categories == named).any(1)))
        made.rules = replace(self.rules, members=tuple(members))
        found: Explore = made
        return found

    def explain(self, requests: Requests, slates: Slates) -> list[list[list[str]]]:
        """[R][S] names of the rules that acted on each shown item: the pin that put it there, or else the boosts it has."""
        acted = self.rules.acted(slates.items, self.rules.in_force(requests))
        names: list[list[list[str]]] = [[[] for _ in page] for page in slates.items]
        for row, slot, rule in zip(*np.nonzero(acted), strict=True):
            names[row][slot].append(self.rules.rules[rule].label)
        return names

    def _page(self, requests: Requests, candidates: Candidates) -> Filling:
        items, config = candidates.items, self.config
        score = candidates.scores[list(candidates.scores)[-1]].astype(np.float64)
        may = candidates.there
        exclude = requests.features.get("exclude")
        if exclude is not None:
            may &= ~(items[:, :, None] == exclude[:, None, :]).any(2)
        pins = None
        if self.rules.rules:
            held = self.rules.in_force(requests)
            may &= ~self.rules.blocked(items, held)
            score += self.rules.boost(items, held)
            pins = self.rules.pins(items, may, held, config.slots)
        score = np.where(may & ~np.isnan(score), score, -np.inf)
        caps: Caps | None = None
        likeness: Likeness | None = None
        if config.most_per_category and self.bags is not None:
            caps = Caps(self.bags[items], config.most_per_category)
        if config.mmr and self.vectors is not None:
            likeness = VectorLikeness(self.vectors[items])
        elif config.mmr and self.bags is not None:
            likeness = BagLikeness(self.bags[items])
        return Filling(config, score, pins, caps, likeness)
