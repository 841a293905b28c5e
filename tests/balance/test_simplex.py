import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from headrace.balance.simplex import projected, shortest
from tests.balance.tasks import grams


def test_projection_of_a_point_by_hand():
    assert_allclose(projected(np.array([0.5, 0.8, -0.2])), [0.35, 0.65, 0.0], atol=1e-12)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.floats(0, 1))
def test_projection_is_the_nearest_point_and_keeps_the_least_share(values, share):
    v = np.array(values)
    least = share / len(v)
    found = projected(v, least)
    assert_allclose(found.sum(), 1)
    assert (found >= least - 1e-12).all()
    for corner in np.eye(len(v)):  # of the part of the simplex that is allowed
        other = least + (1 - least * len(v)) * corner
        assert (v - found) @ (other - found) <= 1e-8


@given(grams(tasks=(1, 7), silent=True))
def test_the_shortest_point_of_the_hull(gram):
    """Optimal: no gradient has a smaller product with it than it has with itself."""
    found = shortest(gram)
    assert_allclose(found.sum(), 1)
    assert (found >= 0).all()
    slopes = gram @ found
    assert slopes.min() >= found @ slopes - 1e-7 * (1 + gram.max())
