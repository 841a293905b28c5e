import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.evaluate.pointwise import auc, calibration_ratio, ece, gauc, log_loss, normalized_entropy

Y = np.array([1, 0, 0, 1])
P = np.array([0.9, 0.1, 0.2, 0.8])


def test_golden_values():
    by_hand = -(math.log(0.9) + math.log(0.8)) / 2
    assert by_hand == pytest.approx(0.16425, abs=5e-6)
    assert log_loss(Y, P) == pytest.approx(by_hand)
    assert by_hand / math.log(2) == pytest.approx(0.236966, abs=5e-7)
    assert normalized_entropy(Y, P) == pytest.approx(by_hand / math.log(2))
    assert calibration_ratio(Y, P) == pytest.approx(1.0)
    assert auc(Y, P) == 1.0


def test_the_base_rate_scores_one():
    labels = np.array([1, 0, 0, 0, 1, 0, 0])
    assert normalized_entropy(labels, np.full(7, 2 / 7)) == pytest.approx(1.0, abs=1e-12)


def test_gauc_weighs_by_impressions_and_drops_users_with_one_class():
    users = np.array([1] * 2 + [2] * 8 + [3] * 4)
    labels = np.array([1, 0] + [1, 0] * 4 + [0] * 4)
    scores = np.array([0.9, 0.1] + [0.3] * 8 + [0.5, 0.6, 0.7, 0.8])
    shuffled = rng(0, "rows").permutation(len(users))
    found = gauc(users[shuffled], labels[shuffled], scores[shuffled])
    assert found.gauc == pytest.approx(0.6)
    assert (found.n_users, found.n_dropped) == (2, 1)
    assert found.users.tolist() == [1, 2, 3]


scored = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=40)


@given(scored)
def test_auc_is_the_share_of_pairs_won_with_ties_for_half(rows):
    users, labels, scores = np.array(rows).T
    assume(0 < labels.sum() < len(labels))
    assert auc(labels, scores) == pytest.approx(by_pairs(labels, scores), abs=1e-12)
    found = gauc(users, labels, scores)
    for user, value in zip(found.users, found.values, strict=True):
        own = users == user
        expected = by_pairs(labels[own], scores[own])
        assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)


def by_pairs(labels, scores):
    lead = scores[labels == 1][:, None] - scores[labels == 0]
    return np.mean((lead > 0) + 0.5 * (lead == 0)) if lead.size else np.nan


def test_infinite_scores_tie_with_themselves():
    assert auc(np.array([1, 0, 1]), np.array([np.inf, -np.inf, -np.inf])) == 0.75


def test_calibrated_draws_have_a_small_ece_and_shifted_ones_their_shift():
    stream = rng(0, "calibration")
    p = stream.uniform(0.1, 0.7, 40_000)
    y = (stream.random(40_000) < p).astype(int)
    # a bin of 2,000 rows strays by about 0.8 sqrt(p (1 - p) / 2000) = 0.009
    assert ece(y, p) < 0.015
    assert ece(y, p + 0.2) == pytest.approx(0.2, abs=0.01)


def test_ece_golden_and_its_bins_hold_equal_mass():
    p = np.array([0.1, 0.2, 0.3, 0.8])
    assert ece(np.array([0, 0, 1, 1]), p, bins=2) == pytest.approx((abs(0.15 - 0) + abs(0.55 - 1)) / 2)
    assert ece(np.array([0, 1, 0, 1]), p, bins=1) == pytest.approx(abs(0.35 - 0.5))


def test_ece_does_not_depend_on_the_order_of_equal_predictions():
    labels = np.array([1] * 10 + [0] * 30)
    assert ece(labels, np.full(40, 0.25)) == pytest.approx(0.0)


def test_a_certain_mistake_is_costly_and_finite():
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(27.631, abs=1e-3)
    assert log_loss(np.array([0]), np.array([0.0])) == 0.0


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: log_loss(Y, P * 3), "row 0 is 2.7; expected a probability"),
        (lambda: log_loss(Y, np.array([0.1, np.nan, 0.2, 0.3])), "row 1 is nan"),
        (lambda: log_loss(Y * 2, P), "row 0 is 2.0; expected 0 or 1"),
        (lambda: log_loss(Y[:3], P), "expected one of each"),
        (lambda: log_loss(Y[:0], P[:0]), "there are none"),
        (lambda: ece(Y[:0], P[:0]), "there are none"),
        (lambda: auc(Y[:0], P[:0]), "needs both classes"),
        (lambda: auc(Y * 0, P), "0 of 4 labels"),
        (lambda: auc(Y, np.array([1, 2, np.nan, 3])), "row 2 is NaN"),
        (lambda: normalized_entropy(Y * 0, P), "needs both classes"),
        (lambda: calibration_ratio(Y * 0, P), "needs a positive"),
        (lambda: gauc(Y, Y, P).gauc, "none of 2"),
    ],
)
def test_what_is_refused(ask, says):
    with pytest.raises(DataError, match=says):
        ask()
