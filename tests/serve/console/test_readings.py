import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.serve.console.readings import quantile, read
from headrace.serve.metrics import Metrics


def test_what_was_counted_is_read():
    metrics = Metrics("g")
    for stage, times in {"retrieve": 4, "whole": 2, "page": 4}.items():
        for _ in range(times):
            with metrics.stage(stage):
                pass
    for status in (200, 200, 404, 503):
        metrics.answered("/v1/recommend", status)
    metrics.answered("/console/explorer", 200)
    metrics.events("stored", 3)
    metrics.impressions("dropped", 1)
    found = read(metrics.registry)
    assert [(one.path, one.well, one.client, one.server, one.all) for one in found.routes] == [("/v1/recommend", 2, 1, 1, 4)]
    assert [(one.name, one.answers) for one in found.stages] == [("retrieve", 4), ("page", 4), ("whole", 2)]
    assert found.whole is not None
    assert 0 < found.whole.p50_ms <= found.whole.p99_ms <= 0.5
    assert (found.events, found.impressions) == ({"stored": 3}, {"written": 0, "dropped": 1})


def test_nothing_counted():
    found = read(Metrics("g").registry)
    assert (found.routes, found.stages, found.whole, found.events) == ([], [], None, {})


@pytest.mark.parametrize(("share", "value"), [(0.25, 0.5), (0.5, 1.0), (0.75, 1.5), (1.0, 2.0)])
def test_evenly_inside_a_bucket(share, value):
    assert quantile([1.0, 2.0, math.inf], [2, 4, 4], share) == pytest.approx(value)


def test_beyond_the_last_bound_nobody_knows():
    assert math.isnan(quantile([1.0, math.inf], [1, 4], 0.5))
    assert math.isnan(quantile([1.0, math.inf], [0, 0], 0.5))


@given(
    counts=st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(any),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
def test_larger_shares_lie_higher_and_within_the_bounds(counts, shares):
    bounds = [float(place + 1) for place in range(len(counts))] + [math.inf]
    up_to = [sum(counts[: place + 1]) for place in range(len(counts))]
    low, high = (quantile(bounds, [*up_to, up_to[-1]], share) for share in sorted(shares))
    assert 0 <= low <= high <= len(counts)
