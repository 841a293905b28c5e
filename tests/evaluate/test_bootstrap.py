import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.evaluate import bootstrap
from headrace.evaluate.bootstrap import by_user, enough_resamples, holm, mean_intervals, paired_difference, resampled_sums


def test_users_count_alike_however_busy():
    users = np.array([1, 1, 1, 2])
    ids, values = by_user(users, np.array([[0.0], [0.0], [0.0], [1.0]]))
    assert ids.tolist() == [1, 2]
    assert values.tolist() == [[0.0], [1.0]]
    assert mean_intervals(users, np.array([[0.0], [0.0], [0.0], [1.0]])).value[0] == 0.5


def test_a_resample_draws_as_many_users_as_there_are(monkeypatch):
    monkeypatch.setattr(bootstrap, "_DRAWN", 25)  # blocks of 3 resamples, so that their seams are crossed
    sums = resampled_sums(np.eye(7), resamples=10, seed=0)
    assert sums.sum(1).tolist() == [7] * 10
    assert len({tuple(row) for row in sums.tolist()}) == 10
    assert (sums == sums.round()).all()


def test_draws_are_uniform_over_users():
    share = resampled_sums(np.eye(5), resamples=4000, seed=1).mean(0)
    # each mean of 4000 binomial(5, 1/5) counts has a deviation of 0.014
    assert share == pytest.approx(np.ones(5), abs=0.06)


def test_the_seed_decides_and_no_global_generator_does():
    values = rng(0, "values").random((30, 2))
    first, again, other = (resampled_sums(values, resamples=8, seed=seed) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_known_standard_error():
    values = rng(0, "normal").normal(size=(400, 1))
    means = mean_intervals(np.arange(400), values, resamples=4000)
    width = 2 * 1.96 * values.std() / math.sqrt(400)
    # a 2.5% point of 4000 draws is known to about 3% of the width
    assert means.hi[0] - means.lo[0] == pytest.approx(width, rel=0.08)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    stream = rng(0, "coverage")
    covered = 0
    for at in range(300):
        users = np.repeat(np.arange(80), 2)
        tastes = stream.normal(0.3, 1.0, 80)
        means = mean_intervals(users, (tastes[users] + stream.normal(size=160))[:, None], resamples=400, seed=at)
        covered += int(means.lo[0] <= 0.3 <= means.hi[0])
    # 300 trials at 95% stray by 1.3%; a percentile interval of 80 users and 400 draws is about 1% short
    assert 0.91 <= covered / 300 <= 0.985


def test_requests_of_one_user_are_not_independent():
    stream = rng(0, "clusters")
    tastes = stream.normal(size=(40, 1))
    once = mean_intervals(np.arange(40), tastes)
    often = mean_intervals(np.repeat(np.arange(40), 25), np.repeat(tastes, 25, axis=0))
    np.testing.assert_allclose([often.lo, often.hi], [once.lo, once.hi], atol=1e-12)


def test_equal_methods_do_not_differ():
    values = rng(0, "values").random(50)
    found = paired_difference(np.arange(50), values, values.copy())
    assert (found.value, found.lo, found.hi, found.p, found.n) == (0.0, 0.0, 0.0, 1.0, 50)


def test_a_clear_difference_has_the_least_p_and_swapping_turns_its_sign():
    values = rng(0, "values").random(50)
    found = paired_difference(np.arange(50), values + 0.1, values, resamples=999)
    back = paired_difference(np.arange(50), values, values + 0.1, resamples=999)
    assert found.value == pytest.approx(0.1)
    assert found.p == back.p == pytest.approx(2 / 1000)
    assert (back.lo, back.hi) == pytest.approx((-found.hi, -found.lo))


def test_p_of_no_difference_is_uniform_enough():
    stream = rng(0, "null")
    p = [paired_difference(np.arange(60), stream.normal(size=60), np.zeros(60), resamples=300, seed=at).p for at in range(200)]
    # 200 trials at 5% stray by 1.5%, and the percentile test of 60 users is about 1% too eager
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.11
    assert 0.35 <= np.mean(p) <= 0.65


@pytest.mark.parametrize(("n", "least"), [(1, 1.0), (2, 0.5), (4, 0.125)])
def test_few_users_show_little(n, least):
    assert paired_difference(np.arange(n), np.ones(n), np.zeros(n)).p == least


def test_one_user_has_no_interval():
    means = mean_intervals(np.zeros(5, np.int64), np.ones((5, 1)))
    assert means.n == 1
    assert np.isnan([means.lo, means.hi]).all()


p_values = st.lists(st.floats(1e-6, 1.0), min_size=0, max_size=12).map(np.array)


@given(p_values)
def test_holm_keeps_the_order_and_never_flatters(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@given(p_values.filter(len), st.randoms(use_true_random=False))
def test_holm_does_not_depend_on_the_order(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm(p[order]).tolist() == holm(p)[order].tolist()


def test_holm_golden():
    assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])


def test_a_large_table_gets_resamples_enough_to_show_a_difference():
    assert enough_resamples(2000, 10) == 2000
    many = enough_resamples(2000, 100)
    assert 100 * 2 / (many + 1) < 0.05


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: mean_intervals(np.zeros(0, np.int64), np.zeros((0, 1))), "no users"),
        (lambda: mean_intervals(np.arange(2), np.array([[1.0], [np.nan]])), "row 1 is NaN"),
        (lambda: paired_difference(np.arange(2), np.ones(2), np.ones(1)), "2 values against 1"),
    ],
)
def test_what_is_refused(ask, says):
    with pytest.raises(DataError, match=says):
        ask()
