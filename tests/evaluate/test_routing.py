import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from headrace.evaluate.routing import collapse, fluctuation, in_use


def groups(seed, n=400, d=6, experts=4, apart=1.0):
    draw = np.random.default_rng(seed)
    group = draw.permutation(np.arange(n) % experts)  # each expert has as many
    return draw.normal(size=(n, d)) + apart * draw.normal(size=(experts, d))[group], group


def test_fluctuation_is_the_share_of_tokens_with_other_experts():
    before = np.array([[[0], [1], [2], [3]], [[0], [0], [0], [0]]])
    after = np.array([[[0], [1], [3], [2]], [[0], [0], [0], [0]]])
    assert fluctuation(before, after).tolist() == [0.5, 0.0]
    assert fluctuation(np.array([[[0, 1], [0, 1]]]), np.array([[[1, 0], [1, 2]]])).tolist() == [0.5]


@given(seed=integers(0, 2**32 - 1))
def test_collapse_is_the_trace_by_its_formula(seed):
    inputs, group = groups(seed, n=80)
    each = [inputs[group == number] for number in range(4)]
    within = np.mean([np.cov(one.T, bias=True) for one in each], axis=0)
    between = np.cov(np.array([one.mean(0) for one in each]).T, bias=True)
    wanted = np.trace(within @ np.linalg.pinv(between, rcond=1e-12, hermitian=True))
    assert collapse(inputs, group) == pytest.approx(wanted, rel=1e-6)


def test_a_hand_computed_collapse():
    inputs = np.array([[1.0, 5.0], [3.0, -5.0], [-1.0, 5.0], [-3.0, -5.0]])
    # means ±2 on the first axis: Σ_B = 4 there and 0 across; within, 1 on the first axis
    assert collapse(inputs, np.array([0, 0, 7, 7])) == pytest.approx(1 / 4)


def test_closer_groups_are_more_collapsed_and_scale_does_not_count():
    loose, group = groups(0)
    tight = np.array([loose[group == number].mean(0) for number in range(4)])[group] + 0.1 * loose
    assert collapse(tight, group) < 0.1 * collapse(loose, group)
    assert collapse(7 * loose + 3, group) == pytest.approx(collapse(loose, group))
    assert collapse(loose, np.zeros(len(loose), np.int64)) == 0.0


def test_experts_in_use():
    assert in_use(np.array([0, 1, 2, 3])) == pytest.approx(4)
    assert in_use(np.array([5, 5, 5])) == 1.0
    assert 1 < in_use(np.array([0, 0, 0, 1])) < 2
