"""What is true: how likely each outcome is for any user, item, moment and slot, and so the best page there is.

    s(u, i, t)  = θ_u(t)·e_i + 0.5 b_i + c_0 + 0.3 sin(2πt / 7)      t in days; t = 0 is midnight of day 0
    looked at   : slot^-position_bias, whatever stands there
    click       : looked at and Bernoulli(σ(s))
    given click : log dwell ~ N(x_dwell, spread²), purchase ~ Bernoulli(σ(x_purchase)), satisfied ~ Bernoulli(σ(x_satisfied)),
                  independent of each other given (u, i, t); x as in `settings.Effect`
    value v     = σ(s) (worth of a click + worth · what is expected after it),  so a page is worth Σ_slot looked_at(slot) v(item)

Slots multiply a value, so the best page has the highest values in the order of the slots: regret is exact.
Cost O(R K dim) a page, O(R items dim) for the best one. float64 throughout.
"""

from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Float64, Int32, Int64
from headrace.world.catalogue import Catalogue
from headrace.world.settings import DAY_US, START_US, Effect, WorldConfig, day_of
from headrace.world.tastes import LENGTH, Tastes

TASKS = ("click", "dwell_s", "purchase", "satisfied")
SEASON = 0.3
POPULARITY_WEIGHT = 0.5
_ROWS_AT_ONCE = 256


def sigmoid(x: Float64) -> Float64:
    """Of logits: beyond 500 either way it stays what it is there, so nothing overflows."""
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


@dataclass(frozen=True)
class Chances:
    """Expectations by task, each [R, K]: of a click if looked at, of the others given the click. log_dwell: mean of the log."""

    logit: Float64
    click: Float64
    dwell_s: Float64
    purchase: Float64
    satisfied: Float64
    value: Float64
    log_dwell: Float64


class Truth:
    """offset: c_0."""

    def __init__(self, config: WorldConfig, catalogue: Catalogue, tastes: Tastes, offset: float = 0.0):
        self.config, self.catalogue, self.tastes, self.offset = config, catalogue, tastes, offset

    def examination(self, slots: int) -> Float64:
        """The chance that each slot is looked at, [slots]."""
        return np.arange(1, slots + 1.0) ** -self.config.position_bias

    def chances(self, users: Int32, items: Int32, at_us: Int64) -> Chances:
        """users [R], items [R, K], at_us [R]. Of item 0, all but the logit is 0."""
        match = np.einsum("rd,rkd->rk", self.taste(users, at_us), self.catalogue.vectors[items])
        return self._chances(match, items, at_us)

    def expected(self, users: Int32, items: Int32, at_us: Int64) -> dict[str, Float64]:
        """What a page brings, by task, [R, slots]: each the chance of being looked at times all that follows."""
        seen = self.chances(users, items, at_us)
        clicked = self.examination(items.shape[1]) * seen.click
        return {"click": clicked, **{task: clicked * getattr(seen, task) for task in TASKS[1:]}}

    def utility(self, users: Int32, items: Int32, at_us: Int64) -> Float64:
        """What pages are worth, [R]."""
        worth: Float64 = (self.examination(items.shape[1]) * self.chances(users, items, at_us).value).sum(1)
        return worth

    def values(self, users: Int32, at_us: Int64) -> Float64:
        """v of the whole catalogue, [R, items + 1]; -inf for what is not there yet."""
        match = self.taste(users, at_us) @ self.catalogue.vectors.T
        everything = np.arange(match.shape[1], dtype=np.int32)[None]
        value = self._chances(match, everything, at_us).value
        return np.where(self.catalogue.arrival_day <= day_of(at_us)[:, None], value, -np.inf)

    def best(self, users: Int32, at_us: Int64, slots: int) -> Int32:
        """The page of the highest utility, [R, slots]."""
        pages = np.zeros((len(users), slots), np.int32)
        for start in range(0, len(users), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            pages[rows] = highest(self.values(users[rows], at_us[rows]), slots)
        return pages

    def taste(self, users: Int32, at_us: Int64) -> Float64:
        """θ of each user at a moment, [R, dim]."""
        days = day_of(at_us)
        found = np.zeros((len(users), self.config.dim))
        for day in np.unique(days).tolist():
            found[days == day] = self.tastes.vectors(day)[users[days == day]]
        return found

    def _chances(self, match: Float64, items: Int32, at_us: Int64) -> Chances:
        config, catalogue = self.config, self.catalogue
        season = SEASON * np.sin(2 * np.pi * (at_us - START_US) / (7 * DAY_US))
        logit = match + POPULARITY_WEIGHT * catalogue.popularity[items] + self.offset + season[:, None]

        def after(effect: Effect) -> Float64:
            of_item = effect.base + effect.quality * catalogue.quality + effect.price * catalogue.price
            sums: Float64 = of_item[items] + effect.match / LENGTH * match
            return sums

        there = items > 0
        log_dwell = after(config.dwell)
        click = np.where(there, sigmoid(logit), 0.0)
        dwell_s = np.where(there, np.exp(log_dwell + config.dwell_spread**2 / 2), 0.0)
        purchase, satisfied = (np.where(there, sigmoid(after(e)), 0.0) for e in (config.purchase, config.satisfied))
        worth = config.worth
        each = worth.click + worth.dwell_s * dwell_s + worth.purchase * purchase + worth.satisfied * satisfied
        return Chances(logit, click, dwell_s, purchase, satisfied, click * each, log_dwell)


def highest(scores: Float64, k: int) -> Int32:
    """Columns of the k highest of each row, best first; ties by number; 0 where fewer are above -inf."""
    n = scores.shape[1]
    last = max(n - k, 0)
    some = np.sort(np.argpartition(scores, last, axis=1)[:, last:], axis=1)
    found = np.take_along_axis(scores, some, 1)
    order = np.argsort(-found, axis=1, kind="stable")
    best = np.take_along_axis(some, order, 1)
    return np.where(np.take_along_axis(found, order, 1) > -np.inf, best, 0).astype(np.int32)
