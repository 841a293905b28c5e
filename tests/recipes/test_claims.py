import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.rng import rng
from headrace.recipes.claims import Claim, two_level


def claim(**changes):
    return Claim(says="", published="", metric="ndcg@10", better="a", than="b", protocol="p", **changes)


@pytest.mark.parametrize(
    ("lo", "hi", "margin", "form", "verdict"),
    [
        (0.01, 0.02, 0.0, "better", "met"),
        (-0.01, 0.02, 0.0, "better", "null"),
        (-0.02, -0.01, 0.0, "better", "not met"),
        (-0.02, 0.0, 0.0, "better", "not met"),
        (0.01, 0.02, 0.015, "better", "null"),
        (-0.004, 0.01, 0.005, "not worse", "met"),
        (-0.006, 0.01, 0.005, "not worse", "null"),
        (-0.02, -0.006, 0.005, "not worse", "not met"),
    ],
)
def test_verdicts(lo, hi, margin, form, verdict):
    assert claim(margin=margin, form=form).verdict(lo, hi) == verdict


@given(st.integers(1, 5), st.integers(2, 30), st.integers(0, 9))
def test_the_interval_holds_the_mean_and_moves_with_it(seeds, users, seed):
    values = rng(seed, "values").normal(size=(seeds, users))
    one, other = two_level(values), two_level(values + 3)
    assert one.lo <= one.value <= one.hi
    assert one.value == pytest.approx(values.mean())
    assert (other.lo, other.hi) == pytest.approx((one.lo + 3, one.hi + 3))


def test_seeds_that_agree_add_nothing_and_seeds_that_differ_widen():
    user = rng(0, "users").normal(size=200)
    alone, agreeing = two_level(user[None]), two_level(np.tile(user, (5, 1)))
    differing = two_level(user + np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[:, None])
    # 2,000 resamples leave about 3% of noise in a width
    assert agreeing.hi - agreeing.lo == pytest.approx(alone.hi - alone.lo, rel=0.1)
    assert differing.hi - differing.lo > 2 * (agreeing.hi - agreeing.lo)


def test_it_covers_the_truth_about_as_often_as_it_says():
    """Users drawn anew, five seeds with their own shift: 95% by name; percentile intervals of five seeds fall short of it."""
    covered = 0
    for trial in range(200):
        draw = rng(trial, "coverage")
        values = draw.normal(size=60) + 0.05 * draw.normal(size=5)[:, None] + 0.3 * draw.normal(size=(5, 60))
        found = two_level(values, resamples=300, seed=trial)
        covered += found.lo <= 0 <= found.hi
    assert 0.88 <= covered / 200 <= 0.99
