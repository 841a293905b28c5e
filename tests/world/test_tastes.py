import numpy as np

from headrace.contracts.rng import rng
from headrace.world.tastes import Tastes

CENTRES = rng(0, "centres").normal(size=(40, 8))


def test_a_day_is_the_same_from_either_side():
    tastes = Tastes(50, CENTRES, 0.3, seed=1)
    early = tastes.vectors(2).copy()
    late = tastes.vectors(9).copy()
    assert (tastes.vectors(2) == early).all()
    assert (Tastes(50, CENTRES, 0.3, seed=1).vectors(9) == late).all()
    assert (early != late).any()
    np.testing.assert_allclose(np.linalg.norm(late[1:], axis=1), 6)
    assert (late[0] == 0).all()


def test_before_day_0_is_day_0():
    tastes = Tastes(5, CENTRES, 0.5, seed=1)
    assert (tastes.mixtures(-3) == tastes.mixtures(0)).all()


def test_tastes_change_and_their_law_does_not():
    """Of Dirichlet(0.1 × 40): mean 1/40 and second moment 0.1 · 1.1 / (4 · 5) of each share."""
    tastes = Tastes(4000, CENTRES, 0.2, seed=0)
    first, last = tastes.mixtures(0)[1:], tastes.mixtures(60)[1:]
    np.testing.assert_allclose(last.sum(1), 1)
    assert (first * last).sum(1).mean() < 0.5 * (first**2).sum(1).mean()
    squares = (last**2).sum(1)
    assert abs(squares.mean() - 40 * 0.1 * 1.1 / 20) < 4 * squares.std() / np.sqrt(len(squares))


def test_a_still_world_stays():
    tastes = Tastes(5, CENTRES, 0.0, seed=1)
    assert (tastes.vectors(30) == tastes.vectors(0)).all()
