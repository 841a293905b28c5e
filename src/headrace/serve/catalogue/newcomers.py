"""Items that were put and that the generation does not know, as newcomers of its answers (`cascade.newcomers`).

    kin(text)   the `KIN` items of the build with the largest cosine, of those that somebody has chosen: models know no others

A text's vector is the generation's text encoder's, or where it has none that of tfidf, fitted on the build's texts and kept in
its store. An item whose text has nothing in common with them has no kin and waits for the next build. An answer's newcomers are
those of its moment, by the words they had then, so that it is worked out again as it was; of more than `MOST` the newest are.
Vectors and kin of 2 × `MOST` texts are kept in memory, some 1 to 2 kB each. Cost of a text: encoding it, and O(items × dim).
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from headrace.build.graph import Graph
from headrace.cascade.cascade import Cascade
from headrace.cascade.categories import category_bags
from headrace.cascade.item_vectors import item_vectors, load_item_vectors, load_text_encoder
from headrace.cascade.newcomers import KIN, Newcomers
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.beyond import Beyond
from headrace.contracts.requests import Float32, Int32
from headrace.contracts.rng import stable_hash
from headrace.contracts.seams import Encoder, Welcoming
from headrace.data.vocabulary import Vocabulary
from headrace.nn.topk import top_k
from headrace.serve.asked import Asked
from headrace.serve.catalogue.filters import NOTHING
from headrace.serve.catalogue.item_table import text_of
from headrace.serve.catalogue.kept import Kept, Row
from headrace.serve.catalogue.shelf import Shelf
from headrace.serve.state.had import had
from headrace.serve.state.layered import LayeredState

MOST = 10_000
_AT_ONCE = 64  # texts against all items


@dataclass(frozen=True, eq=False)
class Kin:
    """numbers, likeness [KIN], 0 where there are fewer. vector [dim]: of unit length or 0."""

    numbers: Int32
    likeness: Float32
    vector: Float32


@dataclass(frozen=True, eq=False)
class _Party:
    """Who came, by number and by id, and page and steering of a cascade that know them."""

    newcomers: Newcomers
    ids: Mapping[str, int]
    page: Any
    steering: Any


class NewItems:
    """Of one generation. cascade: as it is without them. most: on a page, 0 for none."""

    def __init__(self, pipeline: Pipeline, shelf: Shelf, state: LayeredState, cascade: Cascade, most: int):
        self.pipeline, self.shelf, self.state, self.cascade = pipeline, shelf, state, cascade
        self.most = most if isinstance(cascade.page, Welcoming) else 0
        self._lock, self._reading, self._kin = threading.Lock(), threading.Lock(), OrderedDict[str, Kin]()
        self._arrivals, self._party = 0, None  # type: int, _Party | None

    def join(self, cascade: Cascade, asked: Asked, *, now: bool, personal: bool) -> None:
        """They become the cascade's, for this request. now: and may be shown now. personal: what the user had is looked at."""
        if not self.most or not self.shelf.since:
            return
        party = self.of_moment(asked.at_us)
        if party is None:
            return
        numbers, shelf = party.newcomers.numbers, self.shelf
        with shelf.lock:
            found = shelf.found(NOTHING) if not asked.filters else shelf.fitting(shelf.rules.again(asked.filters))
            may = found[numbers] if now or asked.filters else np.ones(len(numbers), np.bool_)
            if now and asked.filters:
                may = may & shelf.found(NOTHING)[numbers]
        out = [shelf.numbers.get(one, 0) for one in asked.excluded]
        if personal and not cascade.seen_items:
            out += had(self.state, asked.user_id, asked.at_us, party.ids)
        may = may & ~np.isin(numbers, out)
        if may.any():
            cascade.newcomers = replace(party.newcomers, may=may)
            cascade.page, cascade.steering = party.page, party.steering

    def recommendable(self, number: int) -> bool:
        """An item that the generation does not know, as of now."""
        kept = self.shelf.since.get(number)
        if not self.most or kept is None or not kept.shown:
            return False
        return bool(self.kin_of([text_of(kept.row)])[0].likeness[0] > 0)

    def read(self, rows: Sequence[Row]) -> None:
        """Of items that are about to be put, what would make the next answer wait."""
        if self.most:
            shelf = self.shelf
            new = [row for row in rows if shelf.numbers.get(row["item_id"], shelf.n_items) >= shelf.n_items][-MOST:]
            before = [shelf.since.get(shelf.numbers.get(row["item_id"], 0)) for row in new]
            self.kin_of([text_of(row if kept is None else kept.row | row) for kept, row in zip(before, new, strict=True)])

    def ready(self) -> None:
        """What would make the first answer wait."""
        self.shelf.refresh()
        if self.most and self.shelf.since:
            self.of_moment(2**62)

    def kin_of(self, texts: Sequence[str]) -> list[Kin]:
        """Some texts at a time, so that whoever wants others waits for these alone."""
        found = {text: kin for text in texts if (kin := self._kin.get(text)) is not None}
        lacking = [text for text in dict.fromkeys(texts) if text not in found]
        for start in range(0, len(lacking), _AT_ONCE):
            with self._reading:
                part = lacking[start : start + _AT_ONCE]
                found |= zip(part, self._found(part), strict=True)
                self._kin.update({text: found[text] for text in part})
                while len(self._kin) > 2 * MOST:
                    self._kin.popitem(last=False)
        return [found[text] for text in texts]

    def of_moment(self, at_us: int) -> _Party | None:
        shelf = self.shelf
        with shelf.lock:
            earlier = at_us <= shelf.moved_us
            arrivals, since = shelf.arrivals, list(shelf.since.items()) if earlier or self._arrivals != shelf.arrivals else []
        if earlier:
            return self._made([(number, kept, at_us) for number, kept in since if kept.shown_at(at_us)])
        with self._lock:
            if self._arrivals < arrivals:
                self._party = self._made([(number, kept, 2**62) for number, kept in since if kept.shown])
                self._arrivals = arrivals
            return self._party

    def _made(self, there: list[tuple[int, Kept, int]]) -> _Party | None:
        """there: number, item, and as of when it is looked at."""
        newest = sorted(there, key=lambda one: (-max(us for us, _ in one[1].moves if us < one[2]), one[1].item_id))[:MOST]
        said = [(number, kept.item_id, kept.words_at(at_us)) for number, kept, at_us in sorted(newest, key=lambda one: one[0])]
        kin = self.kin_of([text_of(words) for _, _, words in said])
        some = [(one, own) for one, own in zip(said, kin, strict=True) if own.likeness[0] > 0]
        if not some:
            return None
        numbers = np.array([number for (number, _, _), _ in some], np.int32)
        keys = stable_hash([item_id for (_, item_id, _), _ in some])
        newcomers = Newcomers(
            self.shelf.n_items, numbers, keys, np.stack([own.numbers for _, own in some]),
            np.stack([own.likeness for _, own in some]), np.ones(len(some), np.bool_), self.most,
        )  # fmt: skip
        vectors = np.stack([own.vector for _, own in some]) if self.pipeline.item_vectors is not None else None
        categories = self._categories([words.get("categories") or [] for (_, _, words), _ in some])
        page = self.cascade.page.welcoming(numbers, categories, vectors, self._named.encode)  # type: ignore[attr-defined]
        steering = self.cascade.steering
        if steering is not None and vectors is not None:
            steering = steering.over(Beyond(steering.vectors, numbers, vectors))
        return _Party(newcomers, {item_id: number for (number, item_id, _), _ in some}, page, steering)

    def _categories(self, named: Sequence[Sequence[str]]) -> Int32:
        """[n, W]."""
        lengths = np.array([len(one) for one in named])
        there = np.arange(max(int(lengths.max()), 1)) < lengths[:, None]
        found = np.zeros(there.shape, np.int32)
        found[there] = self._named.encode([name for one in named for name in one])
        return found

    @cached_property
    def _named(self) -> Vocabulary:
        return category_bags(self.pipeline.log)[0]

    def _found(self, texts: Sequence[str]) -> list[Kin]:
        encoder, numbers, known = self._read
        vectors = _unit(np.asarray(encoder.encode(list(texts), "item")))
        best = top_k(vectors @ known.T, KIN, "kin", seed=self.pipeline.plan.seed, items=numbers)
        likeness = np.nan_to_num(best.scores["kin"])
        short = max(KIN - likeness.shape[1], 0)
        there = likeness > 1e-6
        items = np.pad(np.where(there, best.items, 0), ((0, 0), (0, short)))
        weights = np.pad(np.where(there, likeness, 0), ((0, 0), (0, short)))
        return [Kin(*one) for one in zip(items.astype(np.int32), weights.astype(np.float32), vectors, strict=True)]

    @cached_property
    def _read(self) -> tuple[Encoder, Int32, Float32]:
        """What reads texts, and numbers and vectors of the items that they are held against."""
        pipeline = self.pipeline
        encoder, vectors = pipeline.text_encoder, pipeline.feature_object.item_vectors
        if encoder is None or vectors is None:
            # also where the pipeline may make nothing: it is the server's own, as its word index is
            graph = Graph(pipeline.graph.store)
            made = item_vectors(graph, pipeline.tables, pipeline.log, pipeline.cuts.test_us, "tfidf")
            encoder, vectors = load_text_encoder(made), load_item_vectors(made)
        chosen = np.bincount(pipeline.log.store.events.items, minlength=len(vectors))[: len(vectors)] > 0
        chosen[0] = False
        numbers = np.flatnonzero(chosen & vectors.any(1)).astype(np.int32)
        return encoder, numbers, _unit(vectors[numbers])


def _unit(vectors: Float32) -> Float32:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Float32 = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-12)
    return found
