"""A small artificial upstream: what it knows of the users and items of `tests.methods.examples`."""

from dataclasses import replace

import numpy as np

from headrace.data.foundation import USER, Foundation, States
from headrace.nn.interaction_block import InteractionBlock
from headrace.nn.state import arrays_of
from tests.methods.examples import SIZES, featured

USERS, ITEMS = {"UR": 3, "CR": 5}, {"IR": 2, "CR": 4}
FIELDS = {"user.age": ("category", 4), "item.colour": ("category", 3)}
BLOCK = {"width": 5, "crosses": 1, "hidden": [4]}


def states_of(vectors, at_us=0):
    """One state an entity, from at_us on; those whose row is zeros have none."""
    there = vectors.any(1)
    offsets = np.concatenate([[0], np.cumsum(there)]).astype(np.int64)
    return States(offsets, np.full(there.sum(), at_us, np.int64), vectors[there].astype(np.float32))


def some_foundation(n_users=40, n_items=20, seed=0, users=None, items=None):
    """Row 0 and every fourth user and item are unknown. users, items: their vectors, where they are to be others than drawn."""
    draw = np.random.default_rng(seed)
    made: list[States] = []
    for given, count, parts in ((users, n_users, USERS), (items, n_items, ITEMS)):
        vectors = draw.normal(size=(count, sum(parts.values()))) if given is None else given
        if given is None:
            vectors[::4] = 0
        made.append(states_of(vectors))
    block = {
        name: draw.normal(size=values.shape).astype(np.float32) for name, values in arrays_of(InteractionBlock(5, 1, [4])).items()
    }
    of_users, of_items = made
    return Foundation(of_users, of_items, USERS, ITEMS, FIELDS, block, {"block": BLOCK}, trained_until_us=0, made_of="some")


def transferred(foundation=None, lists=None, sizes=SIZES, vectors=None):
    """interactions, artifacts: as `featured`, with what the upstream knows."""
    foundation = foundation or some_foundation()
    interactions, artifacts = featured(lists, sizes, vectors)
    lists, features = artifacts["candidate_lists"], artifacts["features"]
    requests = lists.requests
    found = {**requests.features, USER: foundation.users_at(requests.users, requests.at_us)}
    lists = replace(lists, requests=replace(requests, features=found))
    return interactions, {"features": features.with_foundation(foundation), "candidate_lists": lists, "foundation": foundation}
