import numpy as np
import pytest

from headrace.recipes.cascade_bias import quadratic
from headrace.recipes.convex import logistic


def test_the_fit_is_the_minimum():
    draw = np.random.default_rng(0)
    rows = quadratic(draw.normal(size=400))
    target = draw.random(400)
    fitted = logistic(rows, target)
    residual = 1 / (1 + np.exp(-(rows @ fitted))) - target
    assert rows.T @ residual / 400 == pytest.approx(np.zeros(3), abs=1e-6)  # the score equations of logistic regression


def test_weights_are_repeated_rows():
    draw = np.random.default_rng(1)
    rows, target = quadratic(draw.normal(size=50)), draw.random(50)
    twice = logistic(np.concatenate([rows, rows[:10]]), np.concatenate([target, target[:10]]))
    assert logistic(rows, target, np.where(np.arange(50) < 10, 2.0, 1.0)) == pytest.approx(twice, abs=1e-6)


def test_a_strong_l2_keeps_coefficients_small():
    draw = np.random.default_rng(2)
    rows, target = quadratic(draw.normal(size=50)), draw.random(50)
    assert np.abs(logistic(rows, target, l2=100.0)).max() < 0.01
