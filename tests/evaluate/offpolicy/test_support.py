import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.evaluate.offpolicy.single import ips
from headrace.evaluate.offpolicy.support import Limits, effective_sample_size, refusal, unsupported_mass, unsupported_share

LOGGED = np.array([[0.5, 0.5, 0.0], [0.2, 0.4, 0.4]])
TARGET = np.array([[0.2, 0.5, 0.3], [0.0, 0.5, 0.5]])


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20).map(np.array), st.floats(0.1, 10))
def test_effective_sample_size_is_between_one_and_n_and_has_no_unit(weights, scale):
    ess = effective_sample_size(weights)
    assert 1 - 1e-9 <= ess <= len(weights) + 1e-9
    assert effective_sample_size(weights * scale) == pytest.approx(ess)


def test_effective_sample_size_golden():
    assert effective_sample_size(np.ones(7)) == 7
    assert effective_sample_size(np.array([1.0, 3.0])) == pytest.approx(1.6)
    assert effective_sample_size(np.zeros(3)) == 0
    assert effective_sample_size(np.array([[1.0, 1.0], [1.0, 3.0]])) == pytest.approx(1.6)  # the least slot's


def test_unsupported_mass_of_distributions():
    assert unsupported_mass(TARGET, LOGGED) == pytest.approx(0.15)
    assert unsupported_mass(LOGGED, LOGGED) == 0


def test_unsupported_share_of_drawn_pages():
    logs = np.array([[-1.0, -np.inf], [-1.0, -2.0], [0.0, 0.0], [-np.inf, -np.inf]])
    assert unsupported_share(logs) == 0.5


def drawn(n: int, target_2: float):
    """Rewards 1 from a logger that shows actions 0 and 1 alike, and a target that shows them alike but for action 2."""
    return ips(np.ones(n), np.full(n, 0.5), np.full(n, (1 - target_2) / 2))


def test_missing_support_is_seen_in_the_mean_weight_alone():
    terms = drawn(1000, 0.2)
    assert "the weights average 0.800 where full support" in refusal(terms, 1000, math.nan, Limits())
    assert refusal(drawn(1000, 0.04), 1000, math.nan, Limits()) == ""


def test_wrong_propensities_are_seen_in_the_mean_weight():
    terms = ips(np.ones(1000), np.full(1000, 0.4), np.full(1000, 0.5))
    assert "average 1.250 where right propensities" in refusal(terms, 1000, math.nan, Limits())


def test_chance_alone_is_no_reason():
    weights = rng(0, "weights").exponential(size=200)
    terms = ips(np.ones(200), np.full(200, 0.05), np.minimum(0.05 * weights, 1))
    assert refusal(terms, effective_sample_size(weights), math.nan, Limits(least_ess=50)) == ""


def test_limits_are_named_with_what_was_found():
    assert "effective sample size is 99.0, below 100, of 1000 rows" in refusal(drawn(1000, 0), 99.0, math.nan, Limits())
    assert refusal(drawn(1000, 0), 100.0, 0.05, Limits()) == ""
    assert "5.1% of the target's mass" in refusal(drawn(1000, 0), 500.0, 0.051, Limits())
    assert refusal(drawn(1000, 0), 50.0, 0.3, Limits(least_ess=50, most_unsupported=0.3)) == ""


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: unsupported_mass(TARGET * 0.9, LOGGED), "target distribution: row 0 sums to 0.9, not 1, and so do 1 more of 2"),
        (lambda: unsupported_mass(TARGET, LOGGED[:, :2]), "logged distribution: row 1 sums to 0.6"),
        (lambda: unsupported_mass(TARGET, LOGGED + np.nan), "logged distribution: 6 of 6 is missing"),
        (lambda: unsupported_mass(TARGET[0], LOGGED), "expected a row each"),
        (lambda: unsupported_mass(np.eye(2), LOGGED), "expected the same actions"),
        (lambda: unsupported_share(np.array([[np.nan]])), "some are missing"),
    ],
)
def test_what_is_refused(ask, says):
    with pytest.raises(DataError, match=says):
        ask()


def test_a_sum_within_a_millionth_is_rounding():
    unsupported_mass(TARGET + np.array([[9e-7, 0, 0], [0, 0, 0]]), LOGGED)
    with pytest.raises(DataError, match="row 0 sums"):
        unsupported_mass(TARGET + np.array([[2e-6, 0, 0], [0, 0, 0]]), LOGGED)
