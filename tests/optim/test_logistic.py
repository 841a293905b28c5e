import numpy as np
import pytest

from headrace.optim.logistic import fitted, ridge, smoothed


def test_the_gradient_is_zero_where_it_ends():
    draw = np.random.default_rng(0)
    x, labels = draw.normal(size=(200, 1)), (draw.random(200) < 0.3).astype(np.float64)
    labels[x[:, 0] > 1] = 1
    w = fitted(x, labels)
    p = 1 / (1 + np.exp(-(x[:, 0] * w[0] + w[1])))
    left = p - smoothed(labels)
    assert left.sum() == pytest.approx(0, abs=1e-6)
    assert (left * x[:, 0]).sum() == pytest.approx(0, abs=1e-6)
    assert w[0] > 0


def test_a_slope_that_would_turn_the_order_round_is_0_and_the_constant_the_rate():
    x, labels = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 1.0, 0.0, 0.0])
    w = fitted(x, labels)
    assert w[0] == 0
    assert 1 / (1 + np.exp(-w[1])) == pytest.approx(0.5)


def test_one_class_alone_has_a_rate():
    """Platt's target of a negative among four is 1 / 6."""
    w = fitted(np.zeros((4, 1)), np.zeros(4))
    assert 1 / (1 + np.exp(-w[1])) == pytest.approx(1 / 6)


def test_a_ridge_lets_slopes_fall_and_holds_them_and_not_the_constant():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(300, 2))
    labels = (draw.random(300) < 1 / (1 + np.exp(2 * x[:, 0] + 2))).astype(np.float64)
    w = ridge(x, labels, 5.0)
    left = 1 / (1 + np.exp(-(x @ w[:2] + w[2]))) - labels
    np.testing.assert_allclose(x.T @ left + 5.0 * w[:2], 0, atol=1e-6)
    assert left.sum() == pytest.approx(0, abs=1e-6)
    assert w[0] < -0.5
    held = ridge(x, labels, 1e9)
    np.testing.assert_allclose(held[:2], 0, atol=1e-6)
    assert 1 / (1 + np.exp(-held[2])) == pytest.approx(labels.mean())
