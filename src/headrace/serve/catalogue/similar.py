"""Items like an item: by their texts' vectors where there are any, else by a model of items chosen together, else by counts.

    co-occurrence(i, j) = |users of both| / sqrt(events of i · events of j)

It says by what. Never the item itself, nor one that may not be shown now. An item that was put since the build is like others by
its text alone. Cost: O(items × dim), a retriever's own, or O(events) for the counts.
"""

import numpy as np

from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, History, Requests
from headrace.methods.retrieve.ease import EASE
from headrace.methods.retrieve.itemknn import ItemKNN
from headrace.methods.retrieve.markov import Markov
from headrace.nn.topk import top_k
from headrace.serve.catalogue.filters import NOTHING
from headrace.serve.service import Service

NOT_FOUND = "nothing"


def similar(service: Service, number: int, n: int) -> tuple[str, Candidates]:
    """By what, and one row of at most n."""
    shelf, searched = service.shelf, service.searched
    allowed = shelf.found(NOTHING).copy()
    allowed[number] = False
    if searched.has_vectors:
        vector = searched.vector_of(number)
        if vector.any():
            return "item_vectors", searched.by_vector(vector, n, allowed)
    if number >= shelf.n_items:
        return NOT_FOUND, _none()
    allowed = allowed[: shelf.n_items]
    for kind in (ItemKNN, EASE, Markov):
        for name, retriever in service.cascade.retrievers.items():
            if isinstance(retriever, kind):
                alone = History(np.array([0, 1]), np.array([number], np.int32), np.zeros(1, np.int64))
                asked = Requests(np.array(["similar"]), np.zeros(1, np.int32), np.array([2**62]), alone)
                found = _positive(retriever.retrieve(asked, n, Allowed(allowed)))
                if found.there.any():
                    return name, found
    found = _together(service, number, n, allowed)
    return ("co-occurrence", found) if found.there.any() else (NOT_FOUND, _none())


def _together(service: Service, number: int, n: int, allowed: Bool) -> Candidates:
    events, n_items = service.pipeline.log.store.events, service.shelf.n_items
    items = np.asarray(events.items)
    users = np.unique(np.searchsorted(events.offsets, np.flatnonzero(items == number), side="right") - 1)
    mine = events.take(users)
    rows, chosen = np.unique(np.stack([mine.rows(), mine.items]), axis=1)
    both = np.bincount(chosen, minlength=n_items)[:n_items] if len(rows) else np.zeros(n_items)
    size = np.maximum(np.bincount(items, minlength=n_items)[:n_items], 1)
    scores: Float32 = np.where(allowed & (both > 0), both / np.sqrt(size * size[number]), -np.inf).astype(np.float32)
    return top_k(scores[None], n, "co-occurrence", seed=service.pipeline.plan.seed)


def _positive(found: Candidates) -> Candidates:
    """A model may say of an item that it speaks against another."""
    (scores,) = found.scores.values()
    return Candidates(np.where(np.nan_to_num(scores) > 0, found.items, 0), found.scores)


def _none() -> Candidates:
    return Candidates(np.zeros((1, 0), np.int32), {NOT_FOUND: np.zeros((1, 0), np.float32)})
