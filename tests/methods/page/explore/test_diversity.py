import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headrace.methods.page.explore.diversity import BagLikeness, Caps, VectorLikeness, tidy_bags, unit_rows

bags_of = arrays(np.int32, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4)), elements=st.integers(0, 5))


def tidy(bags):
    flat = tidy_bags(bags.reshape(-1, bags.shape[2]))
    return flat.reshape(*bags.shape[:2], -1)


def sets_of(bags):
    return [[set(bag[bag > 0].tolist()) for bag in row] for row in bags]


@given(bags_of, st.data())
def test_sets_are_as_alike_as_their_cosine(bags, data):
    likeness, sets = BagLikeness(tidy(bags)), sets_of(bags)
    for _ in range(2):  # the second look-up finds nothing left over from the first
        rows = np.array(data.draw(st.lists(st.integers(0, len(bags) - 1), unique=True, min_size=1)))
        places = np.array([data.draw(st.integers(0, bags.shape[1] - 1)) for _ in rows])
        wanted = [
            [len(one & sets[r][p]) / max(np.sqrt(len(one) * len(sets[r][p])), 1) for one in sets[r]]
            for r, p in zip(rows, places, strict=True)
        ]
        np.testing.assert_allclose(likeness.to(rows, places), wanted, rtol=1e-12)


@given(bags_of, st.integers(1, 2))
def test_a_category_is_full_when_it_has_been_added_so_often(bags, most):
    caps, sets = Caps(tidy(bags), most), sets_of(bags)
    rows = np.arange(len(bags))
    for place in range(bags.shape[1]):
        caps.add(rows, np.full(len(rows), place))
        wanted = [[any(sum(code in other for other in row[: place + 1]) >= most for code in one) for one in row] for row in sets]
        assert caps.full().tolist() == wanted


def test_bags_hold_each_category_once_and_no_empty_column():
    assert tidy_bags(np.array([[0, 0, 0, 0], [2, 0, 2, 0], [0, 1, 3, 0]], np.int32)).tolist() == [[0, 0], [2, 0], [3, 1]]
    assert tidy_bags(np.array([0, 4, 0], np.int32)).tolist() == [[0], [4], [0]]


def test_vectors_are_as_alike_as_their_angle():
    vectors = unit_rows(np.array([[0, 0], [3, 0], [2, 2], [0, -5]], np.float32))
    likeness = VectorLikeness(np.stack([vectors, vectors[::-1]]))
    half = np.sqrt(0.5)
    assert likeness.to(np.array([0, 1]), np.array([1, 1])) == pytest.approx(np.array([[0, 1, half, 0], [-half, 1, half, 0]]))
    assert likeness.to(np.array([1]), np.array([0])) == pytest.approx(np.array([[1, -half, 0, 0]]))
