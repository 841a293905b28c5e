"""Each promise of an index is broken once, and the suite has to say which."""

import numpy as np
import pytest

from headrace.encode.exact import ExactIndex
from headrace.testing.index import check_index


class Spoils(ExactIndex):
    spoil = ""

    def upsert(self, ids, vectors):
        if self.spoil == "keeps old":
            new = ~self.has(np.asarray(ids))
            ids, vectors = ids[new], vectors[new]
        if self.spoil == "takes anything":
            doubtful = len(set(ids.tolist())) < len(ids) or len(ids) != len(vectors) or not ids.all()
            ids, vectors = (ids[:0], vectors[:0]) if doubtful else (ids, np.nan_to_num(vectors))
        super().upsert(ids, vectors)

    def delete(self, ids):
        if self.spoil != "keeps deleted":
            super().delete(ids)

    def search(self, queries, k, allowed=None):
        if self.spoil == "forgets the mask":
            allowed = None
        if self.spoil == "spoils the mask" and allowed is not None:
            allowed[1] = not allowed[1]
        ids, scores = super().search(queries, k, allowed)
        match self.spoil:
            case "worst first":
                ids, scores = ids[:, ::-1], scores[:, ::-1]
            case "twice":
                ids[:, 1:2], scores[:, 1:2] = ids[:, :1], scores[:, :1]
            case "misses":
                ids[:, 0], scores[:, 0] = 0, np.nan
                ids, scores = np.roll(ids, -1, 1), np.roll(scores, -1, 1)
            case "distance":
                scores = scores * 2
            case "wide":
                ids = ids.astype(np.int64)
            case "together":
                ids = np.where(len(queries) > 1, ids, np.roll(ids, 1, 0) * 0 + 3)
        return ids, scores

    @classmethod
    def load(cls, folder):
        made = super().load(folder)
        if cls.spoil == "loses":
            made.delete(made.ids()[:1])
        return made


class AlwaysThere(Spoils):
    spoil = "loses"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("keeps old", "after an upsert of ids that were there"),
        ("keeps deleted", "61 vectors, expected 60"),
        ("forgets the mask", "deleted, not allowed or never stored"),
        ("spoils the mask", "changes the mask"),
        ("worst first", "not best first|NaN exactly"),
        ("twice", "found twice"),
        ("misses", "of the .* nearest"),
        ("distance", "not the inner product"),
        ("wide", "expected int32"),
        ("together", "asked alone"),
        ("takes anything", "expected a DataError"),
    ],
)
def test_a_broken_index(spoil, says):
    def make(dim):
        index = Spoils(dim)
        index.spoil = spoil
        return index

    with pytest.raises(AssertionError, match=says):
        check_index(make)


def test_one_that_loses_a_vector_on_the_way():
    with pytest.raises(AssertionError, match="read back: the index has"):
        check_index(AlwaysThere)


def test_an_approximate_index_may_miss_as_many_as_it_says():
    def make(dim):
        index = Spoils(dim)
        index.spoil = "misses"
        return index

    with pytest.raises(AssertionError, match="its own nearest"):
        check_index(make, recall=0.5)
