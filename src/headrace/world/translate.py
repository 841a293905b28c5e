"""A policy built on a world's tables speaks in the numbers of its own vocabularies; here it is spoken to in the world's.

    policy = Translated(pipeline.cascade(), world, users=pipeline.log.users, items=pipeline.log.items,
                        features=pipeline.feature_object.users_at)

What the policy has not heard of by its build is left out of the histories it is shown; a user it does not know is number 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Candidates, Float64, History, Int32, Int64, Requests, Slates
from headrace.contracts.seams import Policy
from headrace.data.vocabulary import Vocabulary

FeaturesOf = Callable[[Int32, Int64], Mapping[str, Any]]


class Named(Protocol):
    """What has ids: user_ids, item_ids by number - 1."""

    @property
    def user_ids(self) -> pl.Series: ...
    @property
    def item_ids(self) -> pl.Series: ...


class Translated:
    """A `Policy` that finds its own candidates. features: (users, at_us) -> what its requests carry, in its own numbers."""

    finds_candidates = True

    def __init__(self, policy: Policy, named: Named, *, users: Vocabulary, items: Vocabulary, features: FeaturesOf | None = None):
        self.policy, self.features = policy, features
        self.users = np.concatenate([[0], users.encode(named.user_ids)]).astype(np.int32)
        self.items = np.concatenate([[0], items.encode(named.item_ids)]).astype(np.int32)
        self.ours = np.full(len(items), -1, np.int32)
        self.ours[self.items] = np.arange(len(self.items))
        self.ours[0] = 0

    @property
    def policy_id(self) -> str:
        return self.policy.policy_id

    @property
    def deterministic(self) -> bool:
        return self.policy.deterministic

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates:
        slates = self.policy.act(self.requests(requests), None, seed=seed)
        items = self.ours[slates.items]
        if (items < 0).any():
            raise DataError(f'"{self.policy_id}" shows items this world does not have: was it built on the tables of another?')
        return replace(slates, items=items)

    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64:
        there = slates.items < len(self.items)
        theirs = np.where(there, self.items[np.where(there, slates.items, 0)], 0)
        logs = self.policy.log_prob(self.requests(requests), replace(slates, items=theirs), None)
        return np.where((theirs == 0) & (slates.items > 0), -np.inf, logs)

    def requests(self, requests: Requests) -> Requests:
        """The same in the policy's numbers."""
        users, past = self.users[requests.users], requests.history
        items = self.items[past.items]
        known = items > 0
        counts = np.bincount(past.rows()[known], minlength=len(requests))
        history = History(np.concatenate([[0], np.cumsum(counts)]), items[known], past.at_us[known])
        features = {} if self.features is None else self.features(users, requests.at_us)
        return replace(requests, users=users, history=history, features=features)
