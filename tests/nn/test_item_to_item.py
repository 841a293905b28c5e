import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from headrace.contracts.rng import rng
from headrace.nn.item_to_item import chosen, largest, spoken, strongest, summed
from headrace.testing.examples import history_of


def test_histories_as_counts():
    found = chosen(history_of([[1, 2, 2], [], [0, 9, 3]]), 4).toarray()
    assert found.tolist() == [[0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_each_row_keeps_its_largest():
    row, col, values = np.array([[0, 0, 0, 2], [1, 2, 0, 1], [3, 1, 2, 5]])
    found = largest(row.astype(np.int32), col.astype(np.int32), values, 3, 2).toarray()
    assert found.tolist() == [[2, 3, 0], [0, 0, 0], [0, 5, 0]]


def test_who_speaks_most():
    matrix = np.array([[9, 9, 9, 9], [9, 0, 3, 0], [9, 2, 0, -1], [9, 0, 4, 0]], np.float32)
    past, items = np.array([[1, 3, 0], [2, 7, 0]], np.int32), np.array([[2, 1, 0], [1, 3, 8]], np.int32)
    for one in (matrix, sparse.csr_matrix(matrix)):
        assert strongest(one, past, items).tolist() == [[3, 0, 0], [2, 0, 0]]
    assert strongest(matrix, np.zeros((2, 1), np.int32), items).tolist() == [[0] * 3] * 2


@given(st.lists(st.lists(st.integers(0, 14), max_size=12), min_size=2, max_size=4))
def test_a_row_alone_is_to_the_bit_what_it_is_among_others(rows):
    draw = rng(0, "matrix").normal(size=(13, 13)).astype(np.float32)
    matrix, history = sparse.csr_matrix(np.where(draw > 0, draw, 0)), history_of(rows)
    items = np.array([[3, 0, 12, 7, 14, 3]] * len(rows), np.int32)
    among, said = spoken(history, matrix), summed(history, draw)
    most = [strongest(one, history.last(12), items) for one in (matrix, draw)]
    for row in range(len(rows)):
        alone = history.take(np.array([row]))
        assert spoken(alone, matrix).tobytes() == among[[row]].tobytes()
        assert summed(alone, draw).tobytes() == said[[row]].tobytes()
        for one, found in zip((matrix, draw), most, strict=True):
            assert strongest(one, alone.last(12), items).tolist() == found[[row]].tolist()


def test_a_long_row_of_a_dense_matrix_is_summed_in_parts():
    matrix = rng(0, "matrix").normal(size=(700, 700)).astype(np.float32)
    history = history_of([rng(0, "past").integers(0, 800, 2000).tolist(), [700], []])
    found = summed(history, matrix)
    known = np.unique(history.items[(history.items > 0) & (history.items < 700)])
    np.testing.assert_allclose(found[0], matrix[known].sum(0), atol=1e-4)
    assert np.isneginf(found[1:]).all()
    for row in range(3):
        assert summed(history.take(np.array([row])), matrix).tobytes() == found[[row]].tobytes()
