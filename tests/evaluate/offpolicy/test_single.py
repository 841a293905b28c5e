import numpy as np
import pytest
from hypothesis import given

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import rng
from headrace.evaluate.offpolicy.single import clipped_ips, direct, doubly_robust, expected_reward, ips, snips, switch_dr
from headrace.evaluate.offpolicy.terms import Terms
from tests.evaluate.offpolicy.enumerated import seeds

CONTEXTS, ACTIONS = 3, 5


class Bandit:
    """Every context and action once, [n = contexts x actions]; rewards are their means, as every estimator is linear in them."""

    def __init__(self, seed):
        draw = rng(seed, "bandit")
        self.logged_all, self.target_all = (draw.dirichlet(np.ones(ACTIONS), CONTEXTS) + 0.05 for _ in range(2))
        self.logged_all /= self.logged_all.sum(1, keepdims=True)
        self.target_all /= self.target_all.sum(1, keepdims=True)
        self.means, self.q = draw.random((CONTEXTS, ACTIONS)), draw.normal(size=(CONTEXTS, ACTIONS))
        self.logged, self.target = self.logged_all.ravel(), self.target_all.ravel()
        self.reward, self.q_logged = self.means.ravel(), self.q.ravel()
        self.v_target = np.repeat(expected_reward(self.q, self.target_all), ACTIONS)
        self.truth = (self.target_all * self.means).sum() / CONTEXTS

    def expectation(self, terms: Terms) -> float:
        """Of an estimator that is a mean: over what the logger may show."""
        assert (terms.denominator == 1).all()
        return float(self.logged / CONTEXTS @ terms.numerator[:, 0])


@given(seeds)
def test_ips_and_doubly_robust_are_unbiased(seed):
    case = Bandit(seed)
    assert case.expectation(ips(case.reward, case.logged, case.target)) == pytest.approx(case.truth, abs=1e-10)
    robust = doubly_robust(case.reward, case.logged, case.target, case.q_logged, case.v_target)
    assert case.expectation(robust) == pytest.approx(case.truth, abs=1e-10)


@given(seeds)
def test_a_right_model_makes_up_for_wrong_propensities(seed):
    case = Bandit(seed)
    wrong = rng(seed, "wrong").uniform(0.1, 1.0, case.logged.shape)
    v = np.repeat(expected_reward(case.means, case.target_all), ACTIONS)
    assert case.expectation(doubly_robust(case.reward, wrong, case.target, case.reward, v)) == pytest.approx(
        case.truth, abs=1e-10
    )
    assert case.expectation(direct(v)) == pytest.approx(case.truth, abs=1e-10)


@given(seeds)
def test_clipping_only_takes_away_where_rewards_are_not_negative(seed):
    case = Bandit(seed)
    clipped = [case.expectation(clipped_ips(case.reward, case.logged, case.target, most=most)) for most in (0.5, 1.5, 1e9)]
    assert clipped[0] <= clipped[1] <= clipped[2] + 1e-12
    assert clipped[2] == pytest.approx(case.truth, abs=1e-10)


@given(seeds)
def test_switch_lies_between_the_model_and_doubly_robust(seed):
    case = Bandit(seed)
    columns = (case.reward, case.logged, case.target, case.q_logged, case.v_target)
    assert (switch_dr(*columns, tau=1e9).numerator == doubly_robust(*columns).numerator).all()
    assert (switch_dr(*columns, tau=1e-9).numerator == direct(case.v_target).numerator).all()
    weight = case.target / case.logged
    expected = case.v_target + np.where(weight <= 1.2, weight * (case.reward - case.q_logged), 0.0)
    assert switch_dr(*columns, tau=1.2).numerator[:, 0] == pytest.approx(expected, abs=1e-12)


@given(seeds)
def test_snips_stays_in_the_range_of_rewards_and_moves_with_them(seed):
    case = Bandit(seed)
    value = snips(case.reward, case.logged, case.target).value
    assert case.reward.min() - 1e-12 <= value <= case.reward.max() + 1e-12
    assert snips(case.reward + 7, case.logged, case.target).value == pytest.approx(value + 7)


def test_golden():
    reward, logged, target = np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.25, 0.2]), np.array([0.25, 0.5, 0.6])
    weights = [0.5, 2.0, 3.0]
    assert ips(reward, logged, target).value == pytest.approx(6.5 / 3)
    assert snips(reward, logged, target).value == pytest.approx(6.5 / 5.5)
    assert clipped_ips(reward, logged, target, most=1.0).value == pytest.approx(2.5 / 3)
    q, v = np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.6, 0.7])
    assert doubly_robust(reward, logged, target, q, v).value == pytest.approx((1.8 + 0 - 2 + 3) / 3)
    assert switch_dr(reward, logged, target, q, v, tau=2.0).value == pytest.approx((1.8 + 0 - 2) / 3)
    assert snips(reward, logged, target).denominator[:, 0] == pytest.approx(weights)


ONE = np.ones(2)


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda: ips(ONE, np.array([0.5, 0.0]), ONE), DataError, "1 of 2 is not above 0, the first in row 1"),
        (lambda: snips(ONE, np.array([np.nan, 0.5]), ONE), DataError, "1 of 2 is missing, the first in row 0"),
        (lambda: ips(ONE, np.array([0.5, -0.1]), ONE), DataError, "row 1 .-0.1"),
        (lambda: ips(ONE, np.array([1.5, 0.5]), ONE), DataError, "is above 1"),
        (lambda: ips(ONE, ONE / 2, np.array([0.2, np.nan])), DataError, "target propensity: 1 of 2 is missing"),
        (lambda: ips(ONE, ONE / 2, np.array([0.2, 1.2])), DataError, "outside 0 to 1"),
        (lambda: ips(ONE, ONE[:1] / 2, ONE), DataError, "must be alike"),
        (lambda: ips(np.ones(3), ONE / 2, ONE), DataError, r"rewards are \(3,\)"),
        (lambda: ips(np.array([1.0, np.inf]), ONE, ONE), DataError, "reward: row 1"),
        (lambda: ips(np.zeros(0), np.zeros(0), np.zeros(0)), DataError, "no rows"),
        (lambda: doubly_robust(ONE, ONE, ONE, np.array([np.nan, 1]), ONE), DataError, "q_logged"),
        (lambda: clipped_ips(ONE, ONE, ONE, most=0.0), ConfigError, "expected a number above 0"),
        (lambda: expected_reward(np.ones((2, 2)), np.array([[0.5, 0.5], [0.5, 0.4]])), DataError, "row 1 sums to 0.9, not 1"),
        (lambda: expected_reward(np.ones((2, 3)), np.ones((2, 2)) / 2), DataError, "expected both"),
    ],
)
def test_what_is_refused(ask, error, says):
    with pytest.raises(error, match=says):
        ask()
