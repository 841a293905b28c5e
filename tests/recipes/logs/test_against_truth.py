import numpy as np
import pytest

from headrace.evaluate import pointwise
from headrace.recipes.logs.against_truth import auc, calibration_ratio, distinct, grouped_auc, hit_rate, normalized_entropy

Q = np.array([[0.9, 0.1, 0.2, 0.8]])
SURE = np.array([[1.0, 0.0, 0.0, 1.0]])


def test_of_sure_chances_they_are_the_figures_of_labels():
    assert auc(Q, SURE) == 1.0
    assert calibration_ratio(Q, SURE) == pytest.approx(1.0)
    assert normalized_entropy(Q, SURE) == pytest.approx(0.23696, abs=1e-5)
    assert hit_rate(Q, SURE, 1) == 0.5


def test_labels_figures_come_to_them_with_many_draws():
    draw = np.random.default_rng(0)
    q, p = np.round(0.05 + 0.9 * draw.random((4, 5)), 1), draw.random((4, 5))
    drawn = (draw.random((4000, 4, 5)) < p).ravel()
    again = np.broadcast_to(q, (4000, 4, 5)).ravel()
    # 80,000 labels: a rate's standard error is 0.002
    assert auc(q, p) == pytest.approx(pointwise.auc(drawn, again), abs=0.01)
    assert normalized_entropy(q, p) == pytest.approx(pointwise.normalized_entropy(drawn, again), abs=0.01)
    assert calibration_ratio(q, p) == pytest.approx(pointwise.calibration_ratio(drawn, again), abs=0.02)


def test_hits_are_the_share_of_all_clicks_not_of_each_request_alike():
    q, p = np.array([[3.0, 2.0], [1.0, 2.0]]), np.array([[0.5, 0.5], [0.1, 0.0]])
    assert hit_rate(q, p, 1) == pytest.approx(0.5 / 1.1)


def test_groups_are_ordered_apart_and_weighed_by_their_pairs():
    """What one group's scores are beside another's has no say."""
    q, p = np.array([[0.9, 0.1], [9.0, 9.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert grouped_auc(q, p, np.array([1, 2, 3])) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert grouped_auc(q, p, np.array([1, 2, 2])) == pytest.approx((1 + 2 * auc(q[1:], p[1:])) / 3)


def test_kinds_among_the_best():
    assert distinct(np.array([[4.0, 3.0, 2.0, 1.0]]), np.array([[7, 7, 2, 9]], np.int32), 3) == 2.0
