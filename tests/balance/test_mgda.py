import numpy as np
from hypothesis import given
from numpy.testing import assert_allclose

from headrace.balance.balanced import Seen
from headrace.balance.mgda import MGDA, MGDAConfig, mgda
from headrace.testing import check_balancer
from tests.balance.tasks import grams, named


def solved(gram, **settings):
    names = [str(task) for task in range(len(gram))]
    return MGDA(MGDAConfig(**settings))(Seen(names, np.ones(len(gram)), gram, names))


def test_contract():
    check_balancer(lambda: named("mgda"))
    check_balancer(lambda: named("mgda", oracle="theta", normalise=False, heads="weighted"))


def test_two_tasks_by_hand():
    """g = (1, 0) and (0, 2): λ = (4/5, 1/5), d = (.8, .4), shorter than both."""
    g = np.array([[1.0, 0.0], [0.0, 2.0]])
    found = mgda(g @ g.T)
    assert_allclose(found, [0.8, 0.2], atol=1e-12)
    assert_allclose(found @ g, [0.8, 0.4], atol=1e-12)
    assert_allclose(np.linalg.norm(found @ g), 0.894, atol=5e-4)


def test_as_published_it_follows_the_smaller_gradient_and_normalised_it_does_not():
    gram = np.diag([1.0, 4.0])
    assert_allclose(solved(gram, normalise=False), [1.6, 0.4])
    weights = solved(gram)
    assert_allclose(weights * np.sqrt(gram.diagonal()), [1.5, 1.5]), "both move it by their mean length"


@given(grams(tasks=(2, 6)))
def test_no_task_loses_to_first_order(gram):
    direction = gram @ mgda(gram)
    assert (direction >= -1e-7 * (1 + gram.max())).all()
