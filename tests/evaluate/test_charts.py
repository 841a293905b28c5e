import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.evaluate.charts import figure, panels, reliability, scale, squares
from headrace.evaluate.rows import Row


def row(method, value, lo, hi, metric="ndcg@10", **more):
    return Row("rank", method, "temporal", "all", metric, value, lo, hi, 9, **more)


BASE = row("base", 0.2, 0.15, 0.25)
OTHER = row("other", 0.3, 0.26, 0.34, baseline="base", diff=0.1, diff_lo=0.05, diff_hi=0.15, p=0.01)


@given(st.floats(-50, 50), st.floats(1e-4, 50))
def test_ticks_hold_the_data_in_round_even_steps(low, span):
    ticks = scale(low, low + span)
    assert ticks[0] <= low + 1e-6
    assert ticks[-1] >= low + span - 1e-6
    steps = [after - before for before, after in pairwise(ticks)]
    assert max(steps) == pytest.approx(min(steps), rel=1e-4)
    assert 3 <= len(ticks) <= 8


def test_a_scale_starts_at_0_unless_all_is_far_from_it():
    assert scale(0.1, 0.3)[0] == 0
    assert scale(0.97, 1.0)[0] > 0.9
    assert len(scale(0.5, 0.5)) > 1


def test_marks_stand_in_order_of_value_inside_the_panel():
    (panel,) = panels([BASE, OTHER])
    base, other = panel.marks
    assert panel.left <= base.lo_x < base.x < base.hi_x < other.lo_x < other.x < other.hi_x <= panel.right
    assert base.y < other.y < panel.floor < panel.height
    assert panel.baseline_x == base.x
    assert panel.ticks[0].x == panel.left
    assert panel.ticks[-1].x == panel.right


def test_a_panel_for_each_metric():
    assert [panel.metric for panel in panels([BASE, row("base", 1, 1, 1, metric="gauc")])] == ["ndcg@10", "gauc"]


def test_no_interval_leaves_the_mark_alone():
    mark = panels([row("one", 0.2, math.nan, math.nan)])[0].marks[0]
    assert mark.lo_x == mark.x == mark.hi_x


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [(0.12345, False, "0.123"), (0.00012, True, "+0.00012"), (-1e-17, True, "+0.000"), (None, True, "-"), (math.nan, False, "-")],
)
def test_figures(value, sign, text):
    assert figure(value, sign) == text


def test_a_reliability_curve_is_the_means_of_bins_of_equal_mass():
    predictions = np.repeat([0.1, 0.3, 0.8], [10, 10, 20])
    labels = np.concatenate([np.arange(10) < 2, np.arange(10) < 3, np.arange(20) < 10])
    curve = reliability("dcnv2", labels, predictions)
    np.testing.assert_allclose(curve.predicted, [0.1, 0.3, 0.8])
    np.testing.assert_allclose(curve.observed, [0.2, 0.3, 0.5])
    assert curve.rows == [10, 10, 20]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_fewer_rows_than_bins_have_a_bin_each(n):
    curve = reliability("few", np.ones(n), np.linspace(0.1, 0.5, n), bins=20)
    assert curve.rows == [1] * n


def test_squares_have_one_scale_and_right_predictions_on_the_diagonal():
    right = reliability("right", np.array([0, 1] * 10), np.full(20, 0.5))
    low = reliability("low", np.array([0, 1] * 10), np.full(20, 0.1))
    one, other = squares([right, low])
    assert one.ticks == other.ticks
    ((x, y, text),) = one.marks
    assert x == pytest.approx(one.size - y)
    assert text == "0.500 predicted, 0.500 observed, 20 rows"
    ((x, y, _),) = other.marks
    assert x < other.size - y, "too little was predicted: above the diagonal"
    assert squares([reliability("none", np.zeros(0), np.zeros(0))])[0].marks == []
