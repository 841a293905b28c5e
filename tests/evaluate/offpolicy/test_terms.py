import numpy as np
import pytest
from hypothesis import given

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.evaluate.offpolicy.single import direct, ips, snips
from headrace.evaluate.offpolicy.terms import mean_of, on_policy
from tests.evaluate.offpolicy.enumerated import seeds


@given(seeds)
def test_a_difference_is_the_difference_of_the_values(seed):
    draw = rng(seed, "columns")
    reward, logged, target = draw.random(9), draw.uniform(0.1, 1, 9), draw.uniform(0, 1, 9)
    all_of_them = [ips(reward, logged, target), snips(reward, logged, target), direct(reward), on_policy(reward)]
    for one in all_of_them:
        for other in all_of_them:
            assert (one - other).value == pytest.approx(one.value - other.value, abs=1e-12)
            assert len(one - other) == 9
    assert (all_of_them[0] - all_of_them[0]).numerator.tolist() == [[0.0]] * 9


def test_on_policy_is_the_mean_of_what_pages_earned():
    assert on_policy(np.array([[1.0, 1.0], [0.0, 0.0]])).value == 1.0
    assert on_policy(np.array([1.0, 0.0])).value == 0.5


def test_a_sum_without_denominator_is_undefined():
    assert np.isnan(snips(np.ones(2), np.ones(2), np.zeros(2)).value)


def test_other_rows_are_no_pair():
    with pytest.raises(DataError, match="the same ones"):
        mean_of("a", np.ones(2)) - mean_of("b", np.ones(3))
