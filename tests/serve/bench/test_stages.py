import math

import pytest

from headrace.serve.bench.stages import between, buckets, quantile
from headrace.serve.metrics import Metrics


def test_percentiles_are_of_what_came_between_two_looks():
    metrics = Metrics("g")
    with metrics.stage("rank"):
        pass
    before = buckets(metrics.text().decode())
    for took_s in [0.0075] * 90 + [0.0125] * 10:
        metrics._stages.labels("rank").observe(took_s)
    found = between(before, buckets(metrics.text().decode()))["rank"]
    assert found["answers"] == 100
    assert 6 < found["p50_ms"] < 8
    assert 10 < found["p95_ms"] <= 15


def test_a_quantile_is_even_between_bounds_and_no_more_than_the_last():
    grown = {0.01: 50.0, 0.02: 100.0, math.inf: 110.0}
    assert quantile(grown, 75) == pytest.approx(0.015)
    assert quantile(grown, 25) == pytest.approx(0.005)
    assert quantile(grown, 110) == 0.02


def test_a_stage_that_did_not_run_is_not_there():
    text = Metrics("g").text().decode()
    assert between(buckets(text), buckets(text)) == {}
