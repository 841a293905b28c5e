import logging
from typing import Any

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.evaluate.pointwise import auc, calibration_ratio, ece, gauc, log_loss, normalized_entropy
from headrace.evaluate.predictions import METRICS, ORDER, WEIGHTED, compare_predictions

N = 1200
STREAM = rng(0, "impressions")
USERS = STREAM.integers(0, 90, N)
TRUTH = STREAM.uniform(0.02, 0.6, N)
LABELS = ((STREAM.random(N) < TRUTH) & (USERS >= 3)).astype(int)  # three users have no positive
PREDICTIONS = {"base": np.full(N, LABELS.mean()), "truth": TRUTH, "twin": TRUTH.copy(), "doubled": np.minimum(2 * TRUTH, 1.0)}
WHERE: dict[str, Any] = {"stage": "rank", "split": "temporal", "baseline": "truth", "resamples": 400}


@pytest.fixture(scope="module")
def rows():
    return {(row.method, row.metric): row for row in compare_predictions(PREDICTIONS, LABELS, USERS, **WHERE)}


def test_values_are_those_of_the_plain_functions(rows):
    for method, p in PREDICTIONS.items():
        expected = [
            gauc(USERS, LABELS, p).gauc,
            log_loss(LABELS, p),
            normalized_entropy(LABELS, p),
            calibration_ratio(LABELS, p),
            auc(LABELS, p),
            ece(LABELS, p),
        ]
        assert [rows[method, metric].value for metric in METRICS] == pytest.approx(expected)


def test_intervals_hold_their_values_and_gauc_counts_users_with_both_classes(rows):
    # not the base rate's: its entropy of 1 is the least a resample can have, so it lies below its own interval
    assert all(row.lo < row.value < row.hi for (method, _), row in rows.items() if method != "base")
    assert rows["truth", "gauc"].n == gauc(USERS, LABELS, TRUTH).n_users == 87
    assert rows["truth", "log_loss"].n == 90


def test_tests_tell_apart_what_differs(rows):
    assert {rows["twin", metric].p for metric in METRICS} == {1.0}
    assert rows["base", "normalized_entropy"].verdict == "worse"
    assert rows["doubled", "calibration_ratio"].verdict == "differs"
    assert rows["doubled", "gauc"].verdict == "same"
    assert rows["truth", "gauc"].p is None


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    row = compare_predictions({"truth": TRUTH}, LABELS, np.arange(N), **{**WHERE, "resamples": 2000})[0]
    assert row.metric == "log_loss"
    losses = -np.log(np.where(LABELS > 0, TRUTH, 1 - TRUTH))
    # the ends of 2,000 resamples are known to about 4% of the width
    assert row.hi - row.lo == pytest.approx(2 * 1.96 * losses.std() / np.sqrt(N), rel=0.1)


def test_slices_without_what_a_metric_needs_give_no_row(caplog):
    with caplog.at_level(logging.WARNING):
        rows = compare_predictions(PREDICTIONS, LABELS, USERS, slices={"none": USERS < 0, "negatives": LABELS == 0}, **WHERE)
    assert {(row.slice, row.metric) for row in rows} == {("negatives", "log_loss"), ("negatives", "ece")}
    assert "no impression" in caplog.text
    assert caplog.text.count("one class only") == 4


def test_scores_that_are_no_probabilities_have_an_order_alone():
    """The same order, so the same figures; a probability's own figures are refused."""
    scores = {name: 5 * np.log(p) for name, p in PREDICTIONS.items()}
    rows = compare_predictions(scores, LABELS, USERS, metrics=ORDER, **WHERE)
    same = compare_predictions(PREDICTIONS, LABELS, USERS, metrics=ORDER, **WHERE)
    assert [row.metric for row in rows] == ["gauc"] * 4 + ["auc"] * 4
    assert rows == same


def test_a_weight_counts_an_impression_so_many_times():
    times = rng(1, "times").integers(0, 4, N)
    again = np.repeat(np.arange(N), times)
    many = {name: p[again] for name, p in PREDICTIONS.items()}
    repeated = compare_predictions(many, LABELS[again], USERS[again], metrics=WEIGHTED, **WHERE)
    weighted = compare_predictions(PREDICTIONS, LABELS, USERS, metrics=WEIGHTED, weights=times, **WHERE)
    assert len(repeated) == len(weighted) == 12
    for one, other in zip(weighted, repeated, strict=True):
        assert (one.method, one.metric, one.n) == (other.method, other.metric, other.n)
        for name in ("value", "lo", "hi", "diff", "diff_lo", "diff_hi", "p"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: compare_predictions({"a": TRUTH}, LABELS, USERS, **WHERE), 'baseline "truth" is not a run'),
        (lambda: compare_predictions({"truth": TRUTH * 9}, LABELS, USERS, **WHERE), "expected a probability"),
        (lambda: compare_predictions({"truth": TRUTH}, LABELS, USERS, **{**WHERE, "slices": {"s": USERS}}), "bool mask"),
        (
            lambda: compare_predictions({"truth": TRUTH}, LABELS, USERS, weights=TRUTH, **WHERE),
            "auc, ece, gauc are not given",
        ),
        (
            lambda: compare_predictions({"truth": TRUTH}, LABELS, USERS, metrics=WEIGHTED, weights=-TRUTH, **WHERE),
            "expected 1,200 finite numbers of 0 or more",
        ),
    ],
)
def test_what_is_refused(ask, says):
    with pytest.raises(DataError, match=says):
        ask()
