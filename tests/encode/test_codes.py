import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import MissingExtra
from headrace.contracts.rng import rng
from headrace.encode import optional as optional_file
from headrace.encode.codes import CodesConfig, CodesIndex
from headrace.encode.exact import ExactIndex
from headrace.testing.index import check_index
from tests.encode.neighbours import clustered, recall

CODES_ALONE = CodesConfig(most=1e9)


def uneven(n, dim, name):
    """Of unequal length, and not about zero."""
    return (clustered(n, dim, name) + 0.5).astype(np.float32)


@pytest.fixture(scope="module")
def both():
    vectors, ids = uneven(6000, 48, "stored"), rng(0, "ids").permutation(np.arange(1, 6001)).astype(np.int32)
    exact, codes = ExactIndex(48), CodesIndex(48)
    for index in (exact, codes):
        index.upsert(ids, vectors)
    return exact, codes


@pytest.mark.parametrize("config", [CODES_ALONE, CodesConfig()])
def test_contract(config):
    check_index(lambda dim: CodesIndex(dim, config))


@pytest.mark.parametrize("share", [None, 0.5, 0.2])
def test_recall_against_exact_and_the_scores_of_exact(both, share, monkeypatch):
    exact, codes = both
    allowed = None if share is None else rng(0, "allowed").random(6001) < share
    queries = uneven(100, 48, "queries")
    wanted, products = exact.search(queries, 10, allowed)
    assert len(codes.arrays()["ids"]) == 6000
    monkeypatch.setattr(codes, "_exact", Only(codes._exact))  # the codes have to answer
    found, scores = codes.search(queries, 10, allowed)
    assert recall(found, wanted) >= 0.97
    first = found[:, 0] == wanted[:, 0]
    np.testing.assert_allclose(scores[first, 0], products[first, 0], rtol=1e-5)


class Only:
    """An index of which all may be used but its answers."""

    def __init__(self, index):
        self.may, self.vectors, self._index = index.may, index.vectors, index

    def __len__(self):
        return len(self._index)


def test_where_few_are_allowed_or_much_is_asked_for_it_is_exact(both, monkeypatch):
    exact, codes = both
    queries, few = uneven(5, 48, "queries"), rng(0, "allowed").random(6001) < 0.1
    monkeypatch.setattr(codes, "_near", lambda *_: pytest.fail("the codes answer"))
    for k, allowed in ((10, few), (63, None)):  # of 6,000 at most 375 may be looked at
        assert (codes.search(queries, k, allowed)[0] == exact.search(queries, k, allowed)[0]).all()


def test_where_what_is_left_falls_short_it_is_exact(both):
    """All that is near was taken out: a share of a half does not say so."""
    exact, codes = both
    query = uneven(1, 48, "queries")
    allowed = np.ones(6001, np.bool_)
    allowed[exact.search(query, 3000)[0][0]] = False
    assert (codes.search(query, 10, allowed)[0] == exact.search(query, 10, allowed)[0]).all()


def test_which_of_many_equal_vectors_are_found_does_not_hang_on_their_numbers():
    index, exact = CodesIndex(4, CODES_ALONE, seed=3), ExactIndex(4, seed=3)
    for one in (index, exact):
        one.upsert(np.arange(1, 501, dtype=np.int32), np.ones((500, 4), np.float32))
    found = index.search(np.ones((1, 4), np.float32), 10)[0]
    assert found.tolist() == exact.search(np.ones((1, 4), np.float32), 10)[0].tolist()
    assert found.max() > 100


def test_what_is_stored_answers_the_same_beside_the_same_vectors(both):
    codes = both[1]
    vectors = np.zeros((6001, 48), np.float32)
    vectors[1:] = codes._exact.vectors(np.arange(1, 6001))
    again = CodesIndex.over(vectors, np.arange(6001) > 0, codes.config, coded=codes.arrays())
    assert again._exact._vectors is vectors
    made = CodesIndex.over(vectors, np.arange(6001) > 0, codes.config)
    for name, values in codes.arrays().items():
        np.testing.assert_array_equal(made.arrays()[name], values)
    queries = uneven(20, 48, "queries")
    for part, wanted, twice in zip(again.search(queries, 9), codes.search(queries, 9), made.search(queries, 9), strict=True):
        np.testing.assert_array_equal(part, wanted)
        np.testing.assert_array_equal(twice, wanted)


def test_a_deleted_vector_is_in_no_codes(tmp_path):
    index = CodesIndex(4, CODES_ALONE)
    index.upsert(np.arange(1, 9, dtype=np.int32), uneven(8, 4, "stored"))
    index.delete(np.array([3], np.int32))
    assert 3 not in index.arrays()["ids"]
    assert index.stats()["kind"] == "codes"


@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 40), max_size=12, unique=True)), max_size=8), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_any_sequence_of_upserts_and_deletes_agrees_with_exact(steps, seed):
    exact, codes = ExactIndex(4, seed=seed), CodesIndex(4, CodesConfig(rescored=40, most=1e9), seed=seed)
    for number, (stores, ids) in enumerate(steps):
        for index in (exact, codes):
            if stores:
                index.upsert(np.array(ids, np.int32), uneven(len(ids), 4, number))
            else:
                index.delete(np.array(ids, np.int32))
    assert len(codes) == len(exact)
    queries = uneven(4, 4, "queries")
    found, wanted = (index.search(queries, 5) for index in (codes, exact))
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-4, atol=1e-5)


def test_without_faiss_it_says_what_to_install(monkeypatch):
    def absent(module):
        raise ImportError(module)

    monkeypatch.setattr(optional_file, "import_module", absent)
    with pytest.raises(MissingExtra, match=r'index = "codes" needs faiss-cpu, .* pip install \'headrace\[faiss\]\''):
        CodesIndex(4)
