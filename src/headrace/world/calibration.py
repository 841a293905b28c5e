"""c_0, so that a shown item is clicked as often as asked: 3 to 5% of impressions.

A pilot of up to 2,000 users over a week gets the logger's pages (softmax of stage 2 over what is considered, without its ε);
stages don't look at c_0, so it follows by bisection from the logits of what was shown.
"""

import numpy as np

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Float64, History, Requests
from headrace.data.histories import HistoryStore
from headrace.world.draws import uniforms
from headrace.world.population import Population
from headrace.world.recall import Recall
from headrace.world.settings import DAY_US, START_US, WorldConfig
from headrace.world.truth import Truth, highest, sigmoid

_PILOT, _WEEK = 2000, 7


def calibrated(config: WorldConfig, people: Population, past: History, truth: Truth, recall: Recall, seed: int) -> float:
    users = (np.arange(min(people.known(0), _PILOT)) + 1).astype(np.int32)
    at_us = START_US + (np.arange(len(users)) % _WEEK) * DAY_US + DAY_US // 2
    ids = np.char.add("pilot", users.astype(np.str_))
    requests = Requests(ids, users, at_us, HistoryStore(past).as_of(users, at_us))
    found = recall(requests)
    score = np.where(np.isnan(found.scores["stage2"]), -np.inf, found.scores["stage2"].astype(np.float64))
    chance = -np.log(-np.log(uniforms(seed, "pilot", ids, found.items)))  # Gumbel: the highest are draws of the softmax
    places = highest(score + config.temperature * chance, config.slots)
    logit = truth.chances(users, np.take_along_axis(found.items, places, 1), at_us).logit
    looks = truth.examination(config.slots)
    if config.ctr >= looks.mean():
        raise ConfigError(f"ctr = {config.ctr:g} can't be reached: only {looks.mean():.3f} of the slots are looked at. Lower it.")
    return _solve(logit, looks, config.ctr)


def _solve(logit: Float64, looks: Float64, ctr: float) -> float:
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        if float((looks * sigmoid(logit + middle)).mean()) < ctr:
            low = middle
        else:
            high = middle
    return (low + high) / 2
