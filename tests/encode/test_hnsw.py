import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import MissingExtra
from headrace.contracts.rng import rng
from headrace.encode import optional as optional_file
from headrace.encode.exact import ExactIndex
from headrace.encode.hnsw import HNSWConfig, HNSWIndex
from headrace.testing.index import check_index
from tests.encode.neighbours import clustered, recall

GRAPH_ALONE = HNSWConfig(exact_below=0)


def unit(n, dim, name):
    vectors = clustered(n, dim, name)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def both():
    vectors = unit(5000, 32, "stored")
    ids = rng(0, "ids").permutation(np.arange(1, 5001)).astype(np.int32)
    exact, graph = ExactIndex(32), HNSWIndex(32, GRAPH_ALONE)
    for index in (exact, graph):
        index.upsert(ids, vectors)
    return exact, graph


@pytest.mark.parametrize("config", [GRAPH_ALONE, HNSWConfig()])
def test_contract(config):
    check_index(lambda dim: HNSWIndex(dim, config))


@pytest.mark.parametrize("share", [None, 0.5, 0.1])
def test_recall_against_exact(both, share):
    exact, graph = both
    allowed = None if share is None else rng(0, "allowed").random(5001) < share
    queries = unit(200, 32, "queries")
    found, wanted = (index.search(queries, 10, allowed)[0] for index in (graph, exact))
    assert (found > 0).all()
    assert recall(found, wanted) >= 0.95


def test_where_few_are_allowed_it_is_exact():
    graph = HNSWIndex(8, HNSWConfig(ef_search=4, exact_below=8))
    vectors = unit(400, 8, "stored")
    graph.upsert(np.arange(1, 401, dtype=np.int32), vectors)
    graph._graph = None  # whoever answers now, it is not the graph
    few = np.arange(401) % 4 == 1  # 100 of 400: n s² = 25 < 32
    assert (graph.search(vectors[:5], 3, few)[0] > 0).all()
    with pytest.raises(AttributeError):
        graph.search(vectors[:5], 3, np.arange(401) % 3 == 1)  # 134: n s² = 45


def test_the_same_upserts_make_the_same_graph(tmp_path):
    for name in ("one", "two"):
        index = HNSWIndex(8, GRAPH_ALONE)
        vectors = unit(300, 8, "stored")
        index.upsert(np.arange(1, 201, dtype=np.int32), vectors[:200])
        index.upsert(np.arange(101, 301, dtype=np.int32), vectors[100:])
        (tmp_path / name).mkdir()
        index.save(tmp_path / name)
    for file in ("graph.faiss", "rows.safetensors", "vectors.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_deleted_vector_leaves_the_graph_at_a_quarter_and_before_it_is_saved(tmp_path):
    index = HNSWIndex(8, GRAPH_ALONE)
    index.upsert(np.arange(1, 101, dtype=np.int32), unit(100, 8, "stored"))
    index.upsert(np.arange(1, 11, dtype=np.int32), unit(10, 8, "new"))
    index.delete(np.arange(11, 21, dtype=np.int32))
    assert index.stats()["dead"] == 20
    index.delete(np.arange(21, 41, dtype=np.int32))
    assert index.stats()["dead"] == 0
    marked = np.full((1, 8), 0.375, np.float32)
    index.upsert(np.array([200], np.int32), marked)
    index.delete(np.array([200], np.int32))
    assert index.stats()["dead"] == 1
    index.save(tmp_path)
    assert all(marked.tobytes() not in path.read_bytes() for path in tmp_path.iterdir())


@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 40), max_size=12, unique=True)), max_size=8), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_any_sequence_of_upserts_and_deletes_agrees_with_exact(steps, seed):
    exact, graph = ExactIndex(4, seed=seed), HNSWIndex(4, GRAPH_ALONE, seed=seed)
    for number, (stores, ids) in enumerate(steps):
        for index in (exact, graph):
            if stores:
                index.upsert(np.array(ids, np.int32), unit(len(ids), 4, number))
            else:
                index.delete(np.array(ids, np.int32))
    assert len(graph) == len(exact)
    queries = unit(4, 4, "queries")
    found, wanted = (index.search(queries, 5) for index in (graph, exact))
    np.testing.assert_allclose(found[1], wanted[1], rtol=0, atol=1e-5)


def test_without_faiss_it_says_what_to_install(monkeypatch):
    def absent(module):
        raise ImportError(module)

    monkeypatch.setattr(optional_file, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"needs faiss-cpu, .* pip install 'headrace\[faiss\]'"):
        HNSWIndex(4)
