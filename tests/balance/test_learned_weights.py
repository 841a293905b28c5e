"""GradNorm, uncertainty weighting and FAMO: weights that are learned beside the model."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from headrace.balance.balanced import Seen
from headrace.testing import check_balancer
from tests.balance.tasks import check_resume, named

NAMES = ["a", "b"]


def seen(losses, gram=None):
    return Seen(NAMES, np.array(losses, dtype=float), None if gram is None else np.array(gram, dtype=float), NAMES)


@pytest.mark.parametrize("name", ["gradnorm", "uncertainty", "famo"])
def test_contract(name):
    check_balancer(lambda: named(name))


@pytest.mark.parametrize("name", ["gradnorm", "uncertainty", "famo", "pcgrad", "nash_mtl"])
def test_resume(tmp_path, name):
    check_resume(tmp_path, name, **({"every": 2} if name == "nash_mtl" else {}))


def test_gradnorm_levels_lengths_where_tasks_learn_alike():
    solver = named("gradnorm").solver
    for _ in range(300):
        weights = solver(seen([1, 1], np.diag([1.0, 16.0])))
    assert_allclose(weights.sum(), 2)
    assert_allclose(weights * [1, 4], [1.6, 1.6], atol=0.25), "one step of the longer: 4 · rate · 4 / 1.6"


def test_gradnorm_gives_more_to_the_task_that_learns_more_slowly():
    solver = named("gradnorm").solver
    solver(seen([1, 1], np.eye(2)))
    for _ in range(20):
        weights = solver(seen([0.9, 0.3], np.eye(2)))
    assert weights[0] > 1 > weights[1]


def test_uncertainty_comes_to_rest_at_one_over_the_loss():
    solver = named("uncertainty", rate=0.1).solver
    for _ in range(400):
        weights = solver(seen([4.0, 0.25]))
    assert_allclose(weights, [0.25, 4.0], rtol=1e-3)


def test_a_huge_loss_moves_its_variance_by_one_at_most():
    solver = named("uncertainty").solver
    solver(seen([1e9, 1.0]))
    assert_allclose(list(solver.log_variances.values()), [1.0, 0.0])


def test_famo_starts_as_log_losses_and_takes_from_the_task_that_falls_faster():
    solver = named("famo", rate=1.0, decay=0.0).solver
    assert_allclose(solver(seen([4.0, 1.0])), [0.4, 1.6])
    solver.after(NAMES, np.array([4.0, 1.0]), np.array([2.0, 1.0]))
    assert_allclose(solver.logits["a"], -0.25 * np.log(2)), "-z_a (1 - z_a) times the fall"
    assert_allclose(solver.logits["b"], 0.25 * np.log(2))
    assert solver(seen([4.0, 1.0]))[0] < 0.4
