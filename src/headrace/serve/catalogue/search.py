"""A search: by words, by vectors, or by both, where an item has the sum over both of 1 / (60 + its place).

For a user the ranker may order the best 100: those that the generation knows, among their places; items put since the build keep
theirs. It sees them as proposed by no retriever, which is not how it was trained, so what a personal order is worth has to be
measured where it is used. Fusion: Cormack et al., SIGIR 2009.
"""

import time
from dataclasses import replace
from uuid import uuid4

import numpy as np

from headrace.cascade.scoring import scored, with_pairs
from headrace.contracts.requests import Candidates, Int32
from headrace.serve.asked import Asked
from headrace.serve.catalogue.filters import Filter
from headrace.serve.catalogue.messages import Hit, Hits, Mode, Place, Search
from headrace.serve.catalogue.searched import LEXICAL, VECTOR
from headrace.serve.messages import Refused
from headrace.serve.service import Service
from headrace.text.lexical import words_of

_DEPTH = 100
_FUSION = 60.0
Places = dict[str, dict[int, float]]
"""Way of finding -> item -> score, the best first."""


def search(service: Service, ask: Search) -> Hits:
    """Refused: an empty query, a mode that the generation has not, a filter that does not fit its table, nobody's order."""
    started, said = time.perf_counter(), list[str]()
    query, mode = ask.query.strip(), _mode(service, ask)
    if not query:
        raise Refused("query", "is empty: say what is looked for.")
    if ask.personal and ask.user_id is None:
        raise Refused("user_id", "is required for personal = true: whose order is it to be?")
    wanted = service.shelf.rules.read(ask.filters)
    places = _places(service, query, mode, wanted, said)
    order, scores, personal = _fused(places), _scores(places), False
    if ask.personal and ask.user_id is not None and len(order):
        order, scores, personal = _personal(service, ask.user_id, order, scores, said)
    items = order[: ask.n]
    if len(items) < ask.n and wanted.said:
        fit = int(service.shelf.found(wanted).sum())
        said += [f"filters: {fit} items fit them and may be shown; {len(items)} were found.", *service.shelf.rules.unmet(wanted)]
    hits = _hits(service, query, items, scores, places if ask.explain else None)
    taken_ms = round(1000 * (time.perf_counter() - started), 2)
    return Hits(
        query=ask.query, mode=mode, personal=personal, generation=service.generation, items=hits, said=said, latency_ms=taken_ms
    )


def _mode(service: Service, ask: Search) -> Mode:
    vectors = service.searched.has_vectors
    if ask.mode in ("vector", "hybrid") and not vectors:
        says = f'is "{ask.mode}": this generation has no text encoder. Use "lexical", or build with [features] item_vectors.'
        raise Refused("mode", says)
    return ask.mode or ("hybrid" if vectors else "lexical")


def _places(service: Service, query: str, mode: Mode, wanted: Filter, said: list[str]) -> Places:
    """By each way of finding, its items in order, with their scores."""
    searched, allowed = service.searched, service.shelf.found(wanted)
    ways: dict[str, Candidates] = {}
    if mode != "vector":
        ways[LEXICAL] = searched.by_words(query, _DEPTH, allowed)
        if not words_of([query])[0]:
            said.append("query: it has no word, signs alone.")
    if mode != "lexical":
        vector = searched.read_as(query)
        ways[VECTOR] = searched.by_vector(vector, _DEPTH, allowed)
        if not vector.any():
            said.append("query: the text encoder knows none of its words.")
    return {
        way: dict(zip(found.items[found.there].tolist(), found.scores[way][found.there].tolist(), strict=True))
        for way, found in ways.items()
    }


def _scores(places: Places) -> dict[int, float]:
    """By item: the one way's score, or the sum of 1 / (60 + place) over both."""
    if len(places) == 1:
        return dict(next(iter(places.values())))
    found: dict[int, float] = {}
    for way in places.values():
        for rank, item in enumerate(way, 1):
            found[item] = found.get(item, 0.0) + 1 / (_FUSION + rank)
    return found


def _fused(places: Places) -> Int32:
    """Best first; of equal sums, what the first way put higher."""
    scores = _scores(places)
    return np.array(sorted(scores, key=lambda item: -scores[item]), np.int32)


def _personal(
    service: Service, user_id: str, order: Int32, scores: dict[int, float], said: list[str]
) -> tuple[Int32, dict[int, float], bool]:
    asked = Asked(uuid4().hex, user_id, service.now_us(), 0, 1)
    requests = service.requests(asked)
    if not requests.users[0] and not len(requests.history.items):
        said.append("personal: nothing is known of the user, or may be looked at, so the order is the search's own.")
        return order, scores, False
    places = np.flatnonzero(order[:_DEPTH] < service.shelf.n_items)
    mine, cascade = order[places], service.cascade
    blank = {name: np.full((1, len(mine)), np.nan, np.float32) for name in cascade.retrievers}
    found = Candidates(mine[None].astype(np.int32), blank)
    if cascade.features is not None:
        found = with_pairs(cascade.features, requests, found)
    for scoring in cascade.scorings:
        _, found = scored(replace(scoring, keep=len(mine)), requests, found, cascade.steering)
    order = order.copy()
    order[places] = found.items[0]
    last = found.scores[cascade.scorings[-1].stage][0]
    return order, scores | dict(zip(found.items[0].tolist(), last.tolist(), strict=True)), True


def _hits(service: Service, query: str, items: Int32, scores: dict[int, float], places: Places | None) -> list[Hit]:
    shelf, numbers = service.shelf, items.tolist()
    hits = [
        Hit(
            position=place + 1, item_id=shelf.item_id(number), title=shelf.title(number), score=scores[number],
            known=number < shelf.n_items,
        )
        for place, number in enumerate(numbers)
    ]  # fmt: skip
    if places is None:
        return hits
    ranks = {way: {item: rank for rank, item in enumerate(found, 1)} for way, found in places.items()}
    for hit, number, matched in zip(hits, numbers, service.searched.matched(query, numbers), strict=True):
        hit.matched = matched
        hit.places = [
            Place(by=way, rank=ranks[way][number], score=found[number]) for way, found in places.items() if number in found
        ]
    return hits
