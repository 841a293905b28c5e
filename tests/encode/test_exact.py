import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headrace.contracts.errors import DataError
from headrace.contracts.rng import mix, rng, seed_of
from headrace.encode import exact as exact_file
from headrace.encode.exact import ExactIndex
from headrace.testing.index import check_index

DIM = 3
ids_lists = st.lists(st.integers(1, 24), max_size=8, unique=True)
seeds = st.integers(0, 3)


def small_vectors(seed, n):
    """Whole numbers, so that inner products are exact and ties frequent."""
    return rng(seed, "vectors").integers(-2, 3, (n, DIM)).astype(np.float32)


def brute(stored, query, k, allowed, seed):
    def draw(number):
        return int(mix(np.array([number], np.uint64), seed_of(seed, "ties"))[0] >> np.uint64(32))

    may = [number for number in stored if allowed is None or (number < len(allowed) and allowed[number])]
    best = sorted(may, key=lambda number: (float(stored[number] @ query), draw(number)), reverse=True)[:k]
    return best + [0] * (k - len(best)), [float(stored[number] @ query) for number in best]


class AgreesWithADictionary(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.index, self.stored = ExactIndex(DIM, seed=5), {}

    @rule(ids=ids_lists, seed=seeds)
    def upsert(self, ids, seed):
        vectors = small_vectors(seed, len(ids))
        self.index.upsert(np.array(ids, np.int32), vectors)
        self.stored |= dict(zip(ids, vectors, strict=True))

    @rule(ids=st.lists(st.integers(1, 30), max_size=8))
    def delete(self, ids):
        self.index.delete(np.array(ids, np.int32))
        for number in ids:
            self.stored.pop(number, None)

    @rule(seed=seeds, k=st.integers(1, 30), allowed=st.none() | st.lists(st.booleans(), max_size=30))
    def search(self, seed, k, allowed):
        allowed = None if allowed is None else np.array(allowed, np.bool_)
        queries = small_vectors(seed, 3)
        ids, scores = self.index.search(queries, k, allowed)
        for row, query in enumerate(queries):
            wanted, products = brute(self.stored, query, k, allowed, 5)
            assert ids[row].tolist() == wanted
            assert scores[row][ids[row] > 0].tolist() == products

    @invariant()
    def counts(self):
        assert len(self.index) == len(self.stored) == self.index.stats()["vectors"]


TestAgreesWithADictionary = AgreesWithADictionary.TestCase
TestAgreesWithADictionary.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def test_contract():
    check_index(ExactIndex)


@pytest.mark.parametrize("gather", [0, 1])
def test_a_filter_changes_neither_order_nor_ties(gather, monkeypatch):
    monkeypatch.setattr(exact_file, "_GATHER", gather)
    index = ExactIndex(DIM)
    index.upsert(np.arange(1, 401, dtype=np.int32), small_vectors(0, 400))
    queries, allowed = small_vectors(1, 4), rng(0, "allowed").random(401) < 0.3
    everything = index.search(queries, 400)[0]
    wanted = [[number for number in row if allowed[number]][:50] for row in everything.tolist()]
    assert index.search(queries, 50, allowed)[0].tolist() == wanted


def test_queries_are_answered_in_blocks(monkeypatch):
    index = ExactIndex(DIM)
    index.upsert(np.arange(1, 21, dtype=np.int32), small_vectors(0, 20))
    queries = small_vectors(1, 7)
    wanted = index.search(queries, 5)
    monkeypatch.setattr(exact_file, "_BLOCK", 50)
    found = index.search(queries, 5)
    assert [part.tolist() for part in found] == [part.tolist() for part in wanted]


def test_a_deleted_vector_is_nowhere_in_memory_or_file(tmp_path):
    index = ExactIndex(DIM)
    index.upsert(np.array([3, 9], np.int32), np.array([[7, 7, 7], [1, 2, 3]], np.float32))
    index.delete(np.array([3], np.int32))
    index.save(tmp_path)
    assert not (index._vectors == 7).any()
    assert np.float32(7).tobytes() * 3 not in (tmp_path / "vectors.safetensors").read_bytes()


@pytest.mark.parametrize("ids", [[-1], [2**31], [1.5], [[1]]])
def test_ids_are_a_vocabulary_s_numbers(ids):
    with pytest.raises(DataError, match="numbers of a Vocabulary"):
        ExactIndex(DIM).delete(np.array(ids))
