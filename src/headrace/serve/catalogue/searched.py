"""What finds a generation's items and those put since: their words, and the vectors of its text encoder where it has one.

The word index is made once a build and memory-mapped; words and vectors of what was put since are added when somebody searches.
A text that a model has to read is slow, so of those that wait a few are read a search, the newest first; words find them at once.
"""

from functools import cached_property

import numpy as np

from headrace.artifacts.store import Draft
from headrace.build.graph import Graph
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.requests import Bool, Candidates, Float32
from headrace.encode.tfidf import Tfidf
from headrace.nn.topk import top_k
from headrace.serve.catalogue.item_table import text_of
from headrace.serve.catalogue.shelf import Shelf
from headrace.text.lexical import Lexical

REVISION = 1
_READ_AT_ONCE = 16
LEXICAL, VECTOR = "lexical", "vector"


class Searched:
    """Of one shelf. Its lock is held meanwhile."""

    def __init__(self, pipeline: Pipeline, shelf: Shelf):
        self.pipeline, self.shelf, self.seed = pipeline, shelf, pipeline.plan.seed
        self._stamp = -1
        self._vectors: dict[int, Float32 | None] = {}  # of those whose words are no longer the build's
        self._waiting: dict[int, str] = {}

    @property
    def has_vectors(self) -> bool:
        return self.pipeline.item_vectors is not None

    def by_words(self, query: str, k: int, allowed: Bool) -> Candidates:
        """One row, the best first."""
        with self.shelf.lock:
            self._read()
            found = self.words.scores(query)
        scores = np.full(len(allowed), -np.inf, np.float32)
        size = min(len(found), len(allowed))
        scores[:size] = np.where(allowed[:size] & (found[:size] > 0), found[:size], -np.inf)
        return top_k(scores[None], k, LEXICAL, seed=self.seed)

    def by_vector(self, vector: Float32, k: int, allowed: Bool) -> Candidates:
        """One row: those with the largest cosine, none that points away. vector: of unit length, or zeros, which find nothing."""
        scores = np.full(len(allowed), -np.inf, np.float32)
        with self.shelf.lock:
            self._read()
            self._encode()
            scores[: self.shelf.n_items] = (self._of_build @ vector) * self._scale
            for number, own in self._vectors.items():
                if number < len(scores):
                    scores[number] = -np.inf if own is None else own @ vector
        scores[~allowed | ~(scores > 0)] = -np.inf
        return top_k(scores[None], k, VECTOR, seed=self.seed)

    def read_as(self, query: str) -> Float32:
        """The query's vector."""
        assert self.pipeline.text_encoder is not None
        return _unit(self.pipeline.text_encoder.encode([query], "query")[0])

    def vector_of(self, number: int) -> Float32:
        """Of unit length, zeros where the item has none."""
        with self.shelf.lock:
            self._read()
            self._encode()
            if number in self._vectors or number >= self.shelf.n_items:
                own = self._vectors.get(number)
                return np.zeros(self._of_build.shape[1], np.float32) if own is None else own
            return _unit(self._of_build[number])

    def matched(self, query: str, numbers: list[int]) -> list[list[str]]:
        with self.shelf.lock:
            return self.words.matched(query, numbers)

    def ready(self) -> None:
        """What would make the first search wait."""
        with self.shelf.lock:
            self._read()

    @cached_property
    def words(self) -> Lexical:
        def make(draft: Draft) -> None:
            Lexical.of(self.shelf.table.texts()).save(draft.path)

        graph = Graph(self.pipeline.graph.store)  # also where the pipeline may make nothing: it is the server's own
        made = graph.stage("lexical", make, config={}, inputs={"tables": self.pipeline.tables}, revision=REVISION)
        return Lexical.load(made.path)

    @cached_property
    def _of_build(self) -> Float32:
        found = self.pipeline.feature_object.item_vectors
        assert found is not None
        return found

    @cached_property
    def _scale(self) -> Float32:
        length = np.linalg.norm(self._of_build, axis=1)
        found: Float32 = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        return found

    def _read(self) -> None:
        """The words of what changed since the last search."""
        index = self.words
        stamp, changed = self.shelf.catalogue.since(self._stamp)
        self.shelf.refresh()  # after it, so that it has numbers for all that changed
        if not changed:
            self._stamp = stamp
            return
        built = self.shelf.table.rows([kept.item_id for kept in changed])
        for kept in changed:
            number = self.shelf.numbers[kept.item_id]
            text = "" if kept.deleted else text_of(kept.row)
            as_built = not kept.deleted and kept.item_id in built and text == text_of(built[kept.item_id])
            if as_built and number not in self._vectors and number not in self._waiting:
                continue  # another price, say
            index.put(number, text)
            self._waiting.pop(number, None)
            self._vectors[number] = None
            if as_built and number < self.shelf.n_items:
                del self._vectors[number]
            elif text.strip():
                self._waiting[number] = text
        self._stamp = stamp

    def _encode(self) -> None:
        if not self._waiting:
            return
        encoder = self.pipeline.text_encoder
        assert encoder is not None
        most = len(self._waiting) if isinstance(encoder, Tfidf) else _READ_AT_ONCE
        newest = list(self._waiting.items())[-most:]
        for (number, _), vector in zip(newest, encoder.encode([text for _, text in newest], "item"), strict=True):
            self._vectors[number] = _unit(vector)
            del self._waiting[number]


def _unit(vector: Float32) -> Float32:
    length = float(np.linalg.norm(vector))
    return (vector / length).astype(np.float32) if length > 1e-12 else np.zeros_like(vector)
