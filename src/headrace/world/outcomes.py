"""What users do with the pages they get, drawn from the truth.

Each draw belongs to (request, item) or, for looking, (request, slot): two policies that show one user the same item at one moment
get the same answer, so that their difference is not drowned in luck.
Times: a click within two minutes of the request and after those above it, satisfaction when dwelling ends, a purchase within
three hours of the click: all on the request's own day, none before its cause.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Bool, Candidates, Float64, Int32, Int64, Requests
from headrace.world.draws import normals, uniforms
from headrace.world.truth import TASKS, Truth

PURCHASE_WINDOW_S = 3 * 3600
_LONGEST_DWELL_S = 3 * 3600


@dataclass(frozen=True)
class Served:
    """Who answered what. shown, log_prob [R, S]; the rest [R]. arm: which policy, -1 for the uniform one of the flagged `random`.

    own: whether the policy found its own candidates; else it was offered the world's.
    """

    shown: Int32
    log_prob: Float64
    policy_id: NDArray[np.str_]
    deterministic: Bool
    arm: Int64
    own: Bool

    @property
    def random(self) -> Bool:
        return self.arm < 0


@dataclass(frozen=True)
class Outcome:
    """One day, as columns. R requests, S slots; an empty slot has item 0 and nothing happens in it.

    offered: what the world recalled for each request. examined, click, purchase, satisfied, dwell_s [R, S]: what happened
    (dwell_s 0 where nothing was clicked). at_us: kind -> when, where it happened. expected: task -> the true expectation of
    each, [R, S]. utility [R]: true expected utility of each page; realised [R]: what came of it; best [R]: the true utility of
    the best page there was, None where it was not asked for.
    """

    day: int
    requests: Requests
    offered: Candidates
    served: Served
    examined: Bool
    click: Bool
    dwell_s: Float64
    purchase: Bool
    satisfied: Bool
    at_us: Mapping[str, Int64]
    expected: Mapping[str, Float64]
    utility: Float64
    realised: Float64
    best: Float64 | None

    @property
    def shown(self) -> Int32:
        return self.served.shown

    @property
    def random(self) -> Bool:
        return self.served.random

    @property
    def regret(self) -> Float64:
        """[R], in the units of utility; never below 0 but by rounding."""
        if self.best is None:
            raise ValueError("regret was not worked out: call World.step(policy, regret=True)")
        return self.best - self.utility


def outcomes(day: int, requests: Requests, offered: Candidates, served: Served, truth: Truth, seed: int, regret: bool) -> Outcome:
    items, users, at_us, ids = served.shown, requests.users, requests.at_us, requests.ids
    slots = items.shape[1]
    true = truth.chances(users, items, at_us)
    looks, worth = truth.examination(slots), truth.config.worth

    def happens(what: str, chance: Float64) -> Bool:
        return uniforms(seed, what, ids, items) < chance

    examined = (uniforms(seed, "examined", ids, np.arange(slots)) < looks) & (items > 0)
    click = examined & happens("click", true.click)
    spread = truth.config.dwell_spread * normals(seed, "dwell", ids, items)
    dwell_s = np.where(click, np.exp(true.log_dwell + spread), 0.0)
    purchase, satisfied = (click & happens(task, getattr(true, task)) for task in ("purchase", "satisfied"))
    delay_s = 5 + 20 * np.arange(slots) + 15 * uniforms(seed, "click delay", ids, items)
    clicked_us = at_us[:, None] + _us(delay_s)
    ended_us = clicked_us + _us(np.clip(dwell_s, 0.001, _LONGEST_DWELL_S))
    bought_us = clicked_us + _us(PURCHASE_WINDOW_S * uniforms(seed, "purchase delay", ids, items) ** 2)
    expected = {task: looks * true.click * (1.0 if task == "click" else getattr(true, task)) for task in TASKS}
    realised = worth.click * click + worth.dwell_s * dwell_s + worth.purchase * purchase + worth.satisfied * satisfied
    best = truth.utility(users, truth.best(users, at_us, slots), at_us) if regret else None
    return Outcome(
        day, requests, offered, served, examined, click, dwell_s, purchase, satisfied,
        {"click": clicked_us, "dwell": ended_us, "satisfied": ended_us, "purchase": bought_us}, expected,
        (looks * true.value).sum(1), realised.sum(1), best,
    )  # fmt: skip


def _us(seconds: Float64) -> Int64:
    return np.maximum(seconds * 1e6, 1).astype(np.int64)
