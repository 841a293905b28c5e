import numpy as np
from scipy import sparse

from headrace.nn.item_to_item import chosen, largest, strongest
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
