import pytest

from headrace.serve.metrics import Metrics


def test_counts_and_times_are_there_under_their_names():
    metrics, other = Metrics("g"), Metrics("g")
    metrics.answered("/v1/recommend", 200)
    metrics.answered("/v1/recommend", 422)
    metrics.answered("/v1/recommend", 500)
    metrics.impressions("dropped", 3)
    with metrics.stage("rank"):
        pass
    text = metrics.text().decode()
    for line in (
        'headrace_requests_total{route="/v1/recommend",status="200"} 1.0',
        'headrace_errors_total{fault="client",route="/v1/recommend"} 1.0',
        'headrace_errors_total{fault="server",route="/v1/recommend"} 1.0',
        'headrace_impressions_total{outcome="dropped"} 3.0',
        'headrace_stage_seconds_count{stage="rank"} 1.0',
        'headrace_generation{generation="g"} 1.0',
    ):
        assert line in text
    assert 'outcome="dropped"} 0.0' in other.text().decode(), "nothing is shared between two"


def test_a_stage_that_fails_is_no_time_of_an_answer():
    metrics = Metrics("g")
    with pytest.raises(ValueError), metrics.stage("rank"):
        raise ValueError
    assert "stage_seconds_count" not in metrics.text().decode()
