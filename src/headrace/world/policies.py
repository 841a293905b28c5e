"""Baselines: pages drawn uniformly, pages by popularity, and the best pages there are."""

from collections.abc import Callable

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Candidates, Float64, Int32, Int64, Requests, Slates
from headrace.contracts.rng import seed_of
from headrace.contracts.seams import Policy
from headrace.world.draws import uniforms
from headrace.world.settings import day_of
from headrace.world.truth import Truth, highest

_ROWS_AT_ONCE = 256


def finds_candidates(policy: Policy) -> bool:
    """Whether a policy finds its own candidates and is to be asked with None."""
    return bool(getattr(policy, "finds_candidates", False))


class Uniform:
    """A page of candidates, each order of each set of them alike: slot k (from 0) has propensity 1 / (candidates - k)."""

    deterministic = False

    def __init__(self, slots: int, policy_id: str = "uniform"):
        self.slots, self.policy_id = slots, policy_id

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates:
        candidates = _given(candidates)
        draws = uniforms(seed_of(seed, self.policy_id), "page", requests.ids, candidates.items)
        places = highest(np.where(candidates.there, draws, -np.inf), self.slots)
        filled = np.arange(self.slots) < candidates.there.sum(1)[:, None]
        items = np.where(filled, np.take_along_axis(candidates.items, places, 1), 0).astype(np.int32)
        return Slates(items, self._logs(items, candidates), self.policy_id, False)

    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64:
        return self._logs(slates.items, _given(candidates))

    def _logs(self, items: Int32, candidates: Candidates) -> Float64:
        slots = np.arange(items.shape[1])
        offered = ((candidates.items[:, :, None] == items[:, None, :]) & candidates.there[:, :, None]).any(1)
        again = ((items[:, :, None] == items[:, None, :]) & (slots[:, None] > slots)).any(2)
        left: Int64 = candidates.there.sum(1)[:, None] - (np.cumsum(items > 0, axis=1) - (items > 0))
        logs = np.where(offered & ~again & (slots < self.slots), -np.log(np.maximum(left, 1)), -np.inf)
        return np.where(items > 0, logs, 0.0)


class Greedy:
    """The highest scores of the catalogue, best first. scores(requests) -> [R, items + 1], -inf for what may not be shown."""

    deterministic = True
    finds_candidates = True

    def __init__(self, policy_id: str, slots: int, scores: Callable[[Requests], Float64]):
        self.policy_id, self.slots, self.scores = policy_id, slots, scores

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates:
        pages = [highest(self._scores(part), self.slots) for _, part in requests.chunks(_ROWS_AT_ONCE)]
        items = np.concatenate([np.zeros((0, self.slots), np.int32), *pages])
        return Slates(items, np.zeros(items.shape), self.policy_id, True)

    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64:
        logs = np.zeros(slates.items.shape)
        for rows, part in requests.chunks(_ROWS_AT_ONCE):
            scores, asked = self._scores(part).copy(), slates.items[rows]
            scores = np.concatenate([scores, np.full((len(part), 1), -np.inf)], 1)  # for items beyond the catalogue
            for slot in range(asked.shape[1]):
                item = np.minimum(asked[:, slot], scores.shape[1] - 1)
                right = (item == scores.argmax(1)) & (slot < self.slots)
                logs[rows, slot] = np.where((asked[:, slot] == 0) | right, 0.0, -np.inf)
                scores[np.arange(len(part)), item] = -np.inf
        return logs

    def _scores(self, requests: Requests) -> Float64:
        scores = self.scores(requests)
        scores[:, 0] = -np.inf
        return scores


def oracle(truth: Truth) -> Greedy:
    """The page of the highest true utility."""
    return Greedy("oracle", truth.config.slots, lambda requests: truth.values(requests.users, requests.at_us))


def popular(truth: Truth) -> Greedy:
    """The most popular of what is there, the same page for all."""
    catalogue = truth.catalogue

    def scores(requests: Requests) -> Float64:
        there = catalogue.arrival_day <= day_of(requests.at_us)[:, None]
        return np.where(there, catalogue.popularity, -np.inf)

    return Greedy("popular", truth.config.slots, scores)


def _given(candidates: Candidates | None) -> Candidates:
    if candidates is None:
        raise DataError("Uniform fills a page from candidates and was given none: pass World.candidates(requests).")
    return candidates
