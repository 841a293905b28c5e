"""One small set of features, interactions and candidate lists for every method that reads them."""

from dataclasses import replace

import numpy as np

from headrace.contracts.lists import CandidateLists
from headrace.data.features import Features, Timeline
from headrace.data.rank_inputs import candidate_batch, pairs_in, user_batch
from headrace.testing.examples import history_of, some_candidates, some_interactions, some_lists, some_requests

SIZES = {
    "user.age": 4, "item.colour": 3, "item.tags": 5, "item.geo.country/region%": 2, "pair.item.count_7d": 6,
    "pair.user.age*item.colour": 7,
}  # fmt: skip
VECTORS = np.random.default_rng(3).normal(size=(20, 5)).astype(np.float32)
VECTORS[[0, 7]] = 0
_NOTHING = Timeline(np.zeros(1, np.int64), np.zeros(0, np.int64), {})


def featured(lists=None, sizes=SIZES, vectors=None):
    """interactions, the artifacts "features" and "candidate_lists", drawn codes throughout."""
    draw = np.random.default_rng(0)
    lists = lists or some_lists()
    requests = lists.requests
    ages = {name: draw.integers(size, size=len(requests)) for name, size in sizes.items() if name.startswith("user")}
    lists = replace(lists, requests=replace(requests, features=ages))
    shapes = {name: (20, 3) if name == "item.tags" else (20,) for name in sizes if name.startswith("item")}
    codes = {name: draw.integers(sizes[name], size=shape).astype(np.int32) for name, shape in shapes.items()}
    interactions = replace(some_interactions(), features=codes)
    there = lists.candidates.there
    pairs = {n: (draw.integers(size, size=there.shape) * there).astype(np.int32) for n, size in sizes.items() if n[:4] == "pair"}
    lists = replace(lists, candidates=replace(lists.candidates, features=pairs))
    return interactions, {"features": Features(_NOTHING, _NOTHING, sizes, item_vectors=vectors), "candidate_lists": lists}


def lists_with_a_rule(n=200):
    """Of each request's candidates, the one with a number below 5 was chosen; and its place."""
    requests = some_requests(n, 5)
    candidates = some_candidates(requests, 20)
    items = np.random.default_rng(0).integers(5, 20, candidates.items.shape).astype(np.int32)
    place = np.random.default_rng(1).integers(6, size=n)
    items[np.arange(n), place] = np.random.default_rng(2).integers(1, 5, n)
    scores = {name: np.nan_to_num(score) for name, score in candidates.scores.items()}
    chosen = history_of(items[np.arange(n), place][:, None].tolist())
    return CandidateLists.of(requests, replace(candidates, items=items, scores=scores), chosen), place


def inputs(model, lists):
    """The lists as the scorer reads them, the user's side and the candidates'."""
    pairs = pairs_in(model.candidate_schema)
    return user_batch(lists.requests, model.schema), candidate_batch(lists.candidates, ["one", "two"], pairs)
