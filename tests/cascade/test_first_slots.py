"""Weighting first slots by 1 / propensity gives back what pages were drawn from, where the impressions alone are off."""

import numpy as np
import polars as pl
import pytest

from headrace.cascade.first_slots import drawn_p, weights
from headrace.contracts.rng import rng
from headrace.evaluate.pointwise import calibration_ratio
from headrace.evaluate.predictions import WEIGHTED, compare_predictions


def chosen(requests: int, candidates: int, sharp: float):
    """A policy draws one of each request's candidates by a score that knows what the ranker does not: p, prediction, label."""
    draw = rng(1, "chosen")
    hidden = draw.normal(size=(requests, candidates))
    known = draw.normal(size=(requests, candidates))
    truth = 1 / (1 + np.exp(2 - hidden - known))
    predicted = 1 / (1 + np.exp(1.72 - 0.88 * known))  # right over the candidates on the whole: the hidden part is averaged out
    chance = np.exp(sharp * (hidden + known))
    chance /= chance.sum(1, keepdims=True)
    first = (chance.cumsum(1) > draw.random((requests, 1))).argmax(1)
    rows = np.arange(requests), first
    label = (draw.random(requests) < truth[rows]).astype(float)
    return chance[rows], predicted[rows], label, predicted.sum() / truth.sum()


def test_the_calibration_ratio_of_the_candidates_is_found_where_that_of_impressions_is_off():
    p, predicted, label, truth = chosen(6000, 12, 0.7)
    assert truth == pytest.approx(1, abs=0.02)
    assert calibration_ratio(label, predicted) < 0.8, "what is shown is likelier than the ranker can know"
    found = weights(p)
    users = np.arange(len(p)) % 1500
    rows = compare_predictions(
        {"ranker": predicted, "rate": np.full(len(p), label.mean())}, label, users, stage="rank", split="drawn from",
        baseline="rate", metrics=WEIGHTED, weights=found.values, resamples=200,
    )  # fmt: skip
    row = next(row for row in rows if (row.method, row.metric) == ("ranker", "calibration_ratio"))
    assert row.lo < truth < row.hi
    assert row.hi - row.lo < 0.2


def test_weights_have_mean_one_and_none_is_above_the_cap():
    p = np.array([0.5] * 99 + [1e-9])
    found = weights(p)
    assert found.values.mean() == pytest.approx(1)
    assert found.cut == 1
    assert found.values.max() == pytest.approx(found.most)
    assert 1 < found.effective < 100
    even = weights(np.full(50, 0.1))
    assert even.cut == 0
    assert even.effective == pytest.approx(50)
    assert weights(np.zeros(0)).effective == 0


def test_only_first_slots_of_policies_with_chance_count(tmp_path):
    pl.DataFrame({"request_id": ["a", "b"], "policy_id": ["draws", "sure"]}).write_parquet(tmp_path / "requests.parquet")
    rows = pl.DataFrame({
        "request_id": ["a", "a", "b", "b", "a"], "position": [1, 2, 1, 2, None], "propensity": [0.25, 0.5, 1.0, 1.0, 0.1],
    })  # fmt: skip
    assert drawn_p(tmp_path, rows).to_list() == [0.25, None, None, None, None]
    from_nought = rows.with_columns(pl.col("position") - 1)
    assert drawn_p(tmp_path, from_nought).to_list() == [0.25, None, None, None, None]
    unlogged = rows.with_columns(propensity=pl.lit(None, pl.Float64))
    assert drawn_p(tmp_path, unlogged).null_count() == 5
