import numpy as np

from headrace.encode.centres import centres

EAST, NORTH, WEST, NONE = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]
HALF = [np.sqrt(0.5), np.sqrt(0.5)]


def test_few_vectors_are_their_own_centres():
    found, there = centres(np.array([[EAST, NONE, NORTH]], np.float32), np.array([[True, False, True]]), 3)
    np.testing.assert_allclose(found, [[EAST, NORTH, NONE]], atol=1e-6)
    assert there.tolist() == [[True, True, False]]


def test_golden():
    """Begun from the first and the third: the second goes with the first, whose centre moves between them."""
    found, there = centres(np.array([[EAST, NORTH, WEST, WEST]], np.float32), np.ones((1, 4), bool), 2, rounds=1)
    np.testing.assert_allclose(found, [[HALF, WEST]], atol=1e-6)
    assert there.all()


def test_a_row_without_any():
    found, there = centres(np.zeros((1, 3, 2), np.float32), np.zeros((1, 3), bool), 2)
    assert not there.any()
    assert not found.any()


def test_rows_hang_on_themselves_alone():
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(5, 9, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    there = np.arange(9) < draw.integers(0, 10, (5, 1))
    together = centres(vectors * there[..., None], there, 3)
    for row in range(5):
        alone = centres((vectors * there[..., None])[row : row + 1], there[row : row + 1], 3)
        np.testing.assert_allclose(alone[0][0], together[0][row], atol=1e-6)
