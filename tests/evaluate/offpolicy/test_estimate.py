import json
import math

import numpy as np
import pytest
from hypothesis import given

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import rng
from headrace.evaluate.bootstrap import mean_intervals
from headrace.evaluate.offpolicy.estimate import estimate
from headrace.evaluate.offpolicy.single import clipped_ips, direct, ips, snips
from headrace.evaluate.offpolicy.slates import self_normalised_interaction
from headrace.evaluate.offpolicy.support import NO_LIMITS, Limits
from headrace.evaluate.offpolicy.terms import mean_of, on_policy
from tests.evaluate.offpolicy.enumerated import seeds


def log(seed: int, n: int = 400):
    """A logger of two actions at 0.5, a target that shows the first with 0.8; rewards 1 with chance 0.6 and 0.2: worth 0.52."""
    draw = rng(seed, "log")
    first = draw.random(n) < 0.5
    reward = (draw.random(n) < np.where(first, 0.6, 0.2)).astype(np.float64)
    return reward, np.full(n, 0.5), np.where(first, 0.8, 0.2)


def test_a_mean_has_the_usual_standard_error_and_interval():
    found = estimate(ips(*log(0)), how="normal")
    weighted = log(0)[0] * log(0)[2] / 0.5
    assert found.value == pytest.approx(weighted.mean())
    assert found.std_error == pytest.approx(weighted.std(ddof=1) / 20)
    assert (found.lo, found.hi) == pytest.approx(
        (found.value - 1.96 * found.std_error, found.value + 1.96 * found.std_error), 1e-4
    )
    assert (found.n, found.rows, found.status, found.reason) == (400, 400, "evidence", "")
    assert found.max_weight == 1.6


def test_the_bootstrap_is_the_projects_own():
    reward = log(1)[0]
    ours = estimate(on_policy(reward), seed=3, resamples=300)
    means = mean_intervals(np.arange(400), reward[:, None], seed=3, resamples=300)
    assert (ours.lo, ours.hi) == pytest.approx((means.lo[0], means.hi[0]), abs=1e-12)


@given(seeds)
def test_a_users_rows_count_as_one(seed):
    reward, logged, target = log(seed, 150)
    alone = estimate(snips(reward, logged, target), how="normal", limits=NO_LIMITS)
    often = [np.repeat(column, 6) for column in (reward, logged, target)]
    again = estimate(snips(*often), np.repeat(np.arange(150), 6), how="normal", limits=NO_LIMITS)
    assert again.n == 150
    assert again.rows == 900
    assert (again.value, again.std_error) == pytest.approx((alone.value, alone.std_error))
    assert estimate(snips(*often), how="normal", limits=NO_LIMITS).std_error < 0.6 * alone.std_error


def test_order_of_rows_and_names_of_users_do_not_matter():
    reward, logged, target = log(0)
    users = rng(0, "users").integers(0, 90, 400)
    order = rng(0, "order").permutation(400)
    one = estimate(snips(reward, logged, target), users)
    other = estimate(snips(reward[order], logged[order], target[order]), users[order])
    assert (one.value, one.std_error, one.lo, one.hi) == pytest.approx((other.value, other.std_error, other.lo, other.hi))


@pytest.mark.parametrize("how", ["normal", "bootstrap"])
@pytest.mark.parametrize("make", [ips, snips])
def test_intervals_cover_the_truth_as_often_as_they_say(how, make):
    found = [estimate(make(*log(seed)), how=how, resamples=200, seed=seed) for seed in range(200)]
    covered = np.mean([one.lo <= 0.52 <= one.hi for one in found])
    assert 0.90 <= covered <= 0.99  # 200 trials at 95% stray by 1.5%
    spread = np.std([one.value for one in found])
    assert np.mean([one.std_error for one in found]) == pytest.approx(spread, rel=0.15)  # a spread of 200 is known to 5%


def test_the_bernstein_bound_holds_and_comes_nearer_with_users():
    bounds = [
        [estimate(clipped_ips(*log(seed, n), most=1.6), how="bernstein", bounds=(0, 1.6)).lo for seed in range(100)]
        for n in (200, 2000)
    ]
    assert max(map(max, bounds)) < 0.52
    assert np.mean(bounds[0]) < np.mean(bounds[1])
    assert np.mean(bounds[1]) > 0.4


def test_bernstein_golden():
    terms, root = mean_of("x", np.tile([0.0, 1.0], 200)), math.log(2 / 0.025)
    wanted = 0.5 - math.sqrt(2 * 0.25 * 400 / 399 * root / 400) - 7 * root / (3 * 399)
    found = estimate(terms, how="bernstein", bounds=(0, 1), limits=NO_LIMITS)
    assert found.lo == pytest.approx(wanted)
    assert found.hi == math.inf
    shifted = estimate(mean_of("x", terms.numerator[:, 0] - 5), how="bernstein", bounds=(-5, -4), limits=NO_LIMITS)
    assert shifted.lo == pytest.approx(wanted - 5)


def test_bernstein_weighs_busy_users_as_the_mean_does():
    users = np.tile([0, 0, 0, 1], 200) + 2 * np.repeat(np.arange(200), 4)
    values = np.tile([1.0, 1.0, 1.0, 0.0], 200)
    found = estimate(mean_of("x", values), users, how="bernstein", bounds=(0, 1), limits=NO_LIMITS)
    parts, root = np.tile([1.5, 0.0], 200), math.log(2 / 0.025)
    assert found.lo == pytest.approx(0.75 - math.sqrt(2 * parts.var(ddof=1) * root / 400) - 7 * 1.5 * root / (3 * 399))


def test_a_bound_is_no_worse_than_the_least_term():
    assert estimate(mean_of("x", np.array([0.0, 1.0])), how="bernstein", bounds=(-2, 1), limits=NO_LIMITS).lo == -2


def test_refused_estimates_give_no_figure():
    few = estimate(ips(*log(0, 60)))
    assert few.status == "no_evidence"
    assert "below 100" in few.reason
    assert np.isnan([few.value, few.std_error, few.lo, few.hi]).all()
    assert few.ess > 0
    assert few.as_dict()["value"] is None
    json.dumps(few.as_dict(), allow_nan=False)
    assert estimate(ips(*log(0, 60)), limits=Limits(least_ess=10)).status == "evidence"
    assert "10.0%" in estimate(ips(*log(0)), unsupported=0.1).reason
    assert estimate(ips(*log(0)), refused="no chance").reason == "no chance"


def test_what_nothing_is_weighed_for_has_no_effective_sample_size():
    found = estimate(direct(np.arange(5.0)))
    assert np.isnan([found.ess, found.max_weight]).all()
    assert found.value == 2.0


def test_weights_of_zero_leave_nothing():
    reward, logged, _ = log(0)
    found = estimate(snips(reward, logged, np.zeros(400)), limits=NO_LIMITS)
    assert "weights are all 0" in found.reason


def test_one_user_has_no_interval():
    found = estimate(ips(*log(0)), np.zeros(400, np.int64))
    assert found.n == 1
    assert np.isnan([found.std_error, found.lo, found.hi]).all()


def test_a_sum_of_ratios_takes_a_delta_over_slots():
    draw = rng(0, "pages")
    reward, logged = draw.random((500, 2)), np.log(np.full((500, 2), 0.5))
    target = np.log(draw.uniform(0.3, 0.7, (500, 2)))
    terms = self_normalised_interaction(reward, logged, target)
    normal, drawn = (estimate(terms, how=how, resamples=4000) for how in ("normal", "bootstrap"))
    # a 2.5% point of 4000 resamples is known to about 3% of the width
    assert drawn.hi - drawn.lo == pytest.approx(normal.hi - normal.lo, rel=0.08)


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda: estimate(ips(*log(0)), np.arange(3)), DataError, "expected one a row"),
        (lambda: estimate(ips(*log(0)), how="bernstein"), ConfigError, "needs bounds"),
        (lambda: estimate(ips(*log(0)), how="bernstein", bounds=(0, 1)), DataError, "outside the bounds"),
        (lambda: estimate(snips(*log(0)), how="bernstein", bounds=(0, 2)), ConfigError, "plain means"),
    ],
)
def test_what_is_refused(ask, error, says):
    with pytest.raises(error, match=says):
        ask()
