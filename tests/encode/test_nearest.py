import numpy as np
import pytest

from headrace.contracts.errors import MissingExtra
from headrace.contracts.requests import Allowed
from headrace.contracts.rng import rng
from headrace.encode import optional as optional_file
from headrace.encode.codes import CodesIndex
from headrace.encode.nearest import Nearest, NearestConfig, is_of_index, need_index
from headrace.testing.examples import history_of

N, DIM = 2000, 16
CODES = NearestConfig(index="codes")


@pytest.fixture(scope="module")
def made():
    vectors = rng(0, "stored").normal(size=(N, DIM)).astype(np.float32)
    may = np.arange(N) % 50 > 0
    return Nearest.over(vectors, may, CODES, seed=1), vectors, may


def test_what_a_request_has_had_costs_it_no_place(made):
    nearest, vectors, _ = made
    best = nearest.propose(vectors[[3, 4]], 5, Allowed(), "of").items
    had = history_of([best[0, :3].tolist() * 2, []])
    found = nearest.propose(vectors[[3, 4]], 5, Allowed(blocked=had), "of")
    assert not np.isin(found.items[0], best[0, :3]).any()
    assert found.there.all()
    assert found.items[0, :2].tolist() == best[0, 3:].tolist()
    assert found.items[1].tolist() == best[1].tolist()


def test_who_has_nothing_to_ask_with_gets_nothing_and_who_may_not_come_does_not(made):
    nearest, vectors, may = made
    speaks = np.array([True, False])
    found = nearest.propose(vectors[:2], 7, Allowed(items=np.arange(N) < 1500), "of", speaks)
    assert found.there.tolist() == [[True] * 7, [False] * 7]
    assert np.isnan(found.scores["of"][1]).all()
    assert may[found.items[0]].all()
    assert (found.items < 1500).all()


def test_more_than_there_are_is_all_of_them_and_then_nothing(made):
    nearest, vectors, may = made
    found = nearest.propose(vectors[:1], N + 5, Allowed(), "of")
    assert found.items.shape == (1, N)
    assert found.there.sum() == may.sum()


def test_its_arrays_are_told_from_a_retriever_s(made):
    nearest, vectors, may = made
    arrays = nearest.arrays()
    assert all(is_of_index(name) for name in arrays)
    again = Nearest.over(vectors, may, CODES, seed=1, arrays={**arrays, "seed": np.array(1)})
    one, two = (each.propose(vectors[:4], 9, Allowed(), "of") for each in (nearest, again))
    assert one.items.tolist() == two.items.tolist()


def test_a_missing_library_is_told_before_a_training_begins(monkeypatch):
    def absent(module):
        raise ImportError(module)

    monkeypatch.setattr(optional_file, "import_module", absent)
    need_index(NearestConfig())
    with pytest.raises(MissingExtra, match=r'index = "codes" needs faiss-cpu'):
        need_index(CODES)
    with pytest.raises(MissingExtra):
        CodesIndex(3)
