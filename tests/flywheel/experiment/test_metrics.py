import numpy as np
import pytest
from scipy.stats import ttest_ind

from headrace.contracts.rng import rng
from headrace.flywheel.experiment.metrics import Sample, effect
from headrace.flywheel.experiment.simulation import Arms, engagement

STREAM = rng(0, "metrics")
Y, X = STREAM.poisson(2.0, 400).astype(float), 1.0 + STREAM.poisson(3.0, 400).astype(float)


def test_a_mean_is_compared_as_welch_does():
    found = effect(Sample(Y[:150]), Sample(Y[150:]))
    known = ttest_ind(Y[:150], Y[150:], equal_var=False)
    assert found.z == pytest.approx(known.statistic)
    assert found.difference == pytest.approx(Y[:150].mean() - Y[150:].mean())
    assert (float(found.theta), float(found.kept)) == (0.0, 1.0)


def test_breadth_is_a_share_with_its_binomial_error():
    arm = Sample(np.repeat([1.0, 0.0], [30, 70]))
    found = effect(arm, Sample(np.repeat([1.0, 0.0], [20, 80])))
    assert found.difference == pytest.approx(0.1)
    assert found.se == pytest.approx(np.sqrt(0.3 * 0.7 / 99 + 0.2 * 0.8 / 99))


def test_a_ratio_has_the_delta_methods_error():
    arm = Sample(Y, X)
    ratio, cov = Y.mean() / X.mean(), np.cov(Y, X)
    wanted = (cov[0, 0] - 2 * ratio * cov[0, 1] + ratio**2 * cov[1, 1]) / (len(Y) * X.mean() ** 2)
    assert arm.value() == pytest.approx(ratio)
    assert arm.contributions().mean() == pytest.approx(ratio)
    assert effect(arm, arm).se == pytest.approx(np.sqrt(2 * wanted))


def test_the_delta_method_is_near_the_bootstrap():
    drawn = rng(1, "bootstrap").integers(0, 400, (4000, 400))
    ratios = Y[drawn].sum(1) / X[drawn].sum(1)
    one = effect(Sample(Y, X), Sample(Y, X)).se / np.sqrt(2)
    assert one == pytest.approx(ratios.std(), rel=0.05)  # the deviation of 4,000 draws' deviation is 1.1%


def test_cuped_is_regression_on_the_covariate_within_arms():
    arms = engagement(1, 3000, seed=3, lift=0.3)
    t, c = arms.treatment.take(0), arms.control.take(0)
    found = effect(t, c)
    y, before = np.stack([t.y, c.y]), np.array([t.c, c.c], np.float64)
    design = np.column_stack([np.ones(6000), np.repeat([1.0, 0.0], 3000), before.ravel()])
    slopes = np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
    assert found.difference == pytest.approx(slopes[1])
    assert found.theta == pytest.approx(slopes[2])
    rho = np.corrcoef((y - y.mean(1, keepdims=True)).ravel(), (before - before.mean(1, keepdims=True)).ravel())
    assert found.kept == pytest.approx(1 - rho[0, 1] ** 2, abs=0.01)
    assert found.kept < 0.8


def test_cuped_moves_neither_arm_where_the_covariate_is_balanced_or_constant():
    y, constant = Y[:200], np.full(200, 3.0)
    found = effect(Sample(y, None, constant), Sample(Y[200:], None, constant))
    assert found.difference == effect(Sample(y), Sample(Y[200:])).difference
    assert found.theta == 0.0


def test_leading_axes_are_experiments_of_their_own():
    arms = engagement(3, 50, seed=0)
    whole = arms.as_depth(cuped=True).effect()
    for run in range(3):
        alone = Arms(arms.treatment.take(run), arms.control.take(run)).as_depth(cuped=True).effect()
        assert alone.difference == pytest.approx(whole.difference[run])
        assert alone.se == pytest.approx(whole.se[run])


def test_nothing_varies():
    same = effect(Sample(np.ones(5)), Sample(np.ones(5)))
    assert (float(same.z), float(same.se)) == (0.0, 0.0)
    assert np.isnan(Sample(np.zeros(3), np.zeros(3)).value())
