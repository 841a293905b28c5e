from dataclasses import fields

import numpy as np
import pytest

from headrace.evaluate.rows import Row, direction, holm_adjusted

BASE = Row("rank", "a", "temporal", "all", "ndcg@10", 0.2, 0.1, 0.3, 50)


def against(p, metric="ndcg@10", diff=0.1):
    return Row("rank", "b", "temporal", "all", metric, 0.3, 0.2, 0.4, 50, "a", diff, 0.05, 0.15, p)


def test_columns():
    names = "stage method split slice metric value lo hi n baseline diff diff_lo diff_hi p"
    assert [field.name for field in fields(Row)] == names.split()


def test_holm_runs_over_the_tested_rows_alone():
    table = holm_adjusted([BASE, against(0.01), BASE, against(0.04), against(0.03)])
    assert [row.p for row in table] == [None, pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm_adjusted([BASE]) == [BASE]


@pytest.mark.parametrize(
    ("metric", "sign"),
    [("ndcg@10", 1), ("ndcg@10 (sampled: uniform-100)", 1), ("log_loss", -1), ("novelty@10", 0), ("calibration_ratio", 0)],
)
def test_direction(metric, sign):
    assert direction(metric) == sign


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (BASE, "baseline"),
        (against(0.01), "better"),
        (against(0.05), "same"),
        (against(0.01, diff=-0.1), "worse"),
        (against(0.01, metric="log_loss"), "worse"),
        (against(0.01, metric="novelty@5"), "differs"),
    ],
)
def test_verdict_needs_the_test(row, verdict):
    assert row.verdict == verdict


def test_json_has_no_nan():
    row = Row("rank", "a", "temporal", "all", "ndcg@10", 0.2, np.nan, np.nan, 1)
    assert row.as_dict() == {**BASE.as_dict(), "lo": None, "hi": None, "n": 1}
