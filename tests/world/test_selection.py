"""Golden values: our own numpy figures of the analysis in docs/papers/cascade_bias.md."""

import numpy as np
import pytest

from headrace.contracts.rng import rng
from headrace.world.selection import SelectionConfig, posterior_mean, select, sigmoid, top


@pytest.fixture(scope="module")
def truth():
    return rng(0, "truth").normal(-3.0, 1.0, (1500, 1000))


@pytest.mark.parametrize(
    ("noise", "golden"), [(0.25, (1.02, 1.04, 1.07, 1.09)), (0.5, (1.08, 1.15, 1.30, 1.38)), (1.0, (1.32, 1.59, 2.21, 2.52))]
)
def test_a_noisy_score_is_too_high_where_it_chose(truth, noise, golden):
    x = truth + rng(1, "noise").normal(0.0, noise, truth.shape)
    for k, wanted in zip((1000, 500, 100, 10), golden, strict=True):
        kept = top(x, k)
        assert sigmoid(x)[kept].sum() / sigmoid(truth)[kept].sum() == pytest.approx(wanted, rel=0.03)


def test_a_calibrated_score_is_right_wherever_it_chose(truth):
    x = truth + rng(1, "noise").normal(0.0, 1.0, truth.shape)
    predicted = posterior_mean(x[:300], 1.0)
    for k in (1000, 100, 10):
        kept = top(x[:300], k)
        assert predicted[kept].sum() / sigmoid(truth[:300])[kept].sum() == pytest.approx(1.0, abs=0.03)


def test_noise_in_chances_biases_by_selection_alone(truth):
    p = sigmoid(truth)
    f = p + rng(2, "noise").normal(0.0, 0.03, p.shape)
    bias = {k: (f - p)[top(f, k)].mean() for k in (1000, 100, 10)}
    assert bias[1000] == pytest.approx(0.0, abs=1e-4)
    assert bias[100] == pytest.approx(0.0124, abs=0.001)
    assert bias[10] == pytest.approx(0.0110, abs=0.0015)


def test_stages_keep_what_they_say():
    log = select(SelectionConfig(requests=50, candidates=30, considered=10, shown=3), 0)
    assert (log.considered.sum(1) == 10).all()
    assert (log.shown.sum(1) == 3).all()
    assert not (log.shown & ~log.considered).any()
    assert (select(SelectionConfig(requests=50, candidates=30, considered=10, shown=3), 0).label == log.label).all()


def test_exploring_shows_what_was_not_considered_and_nothing_twice():
    log = select(SelectionConfig(requests=400, candidates=30, considered=6, shown=3, explore=0.5), 0)
    assert (log.shown.sum(1) == 3).all()
    outside = (log.shown & ~log.considered).sum() / log.shown.sum()
    assert outside == pytest.approx(0.5 * 24 / 30, abs=0.05)


def test_top_breaks_nothing_on_ties():
    assert (top(np.zeros((2, 5)), 2).sum(1) == 2).all()
