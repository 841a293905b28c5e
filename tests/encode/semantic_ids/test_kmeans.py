"""K-means by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.rng import rng
from headrace.encode.semantic_ids.kmeans import _passes, kmeans, nearest
from tests.encode.semantic_ids.clustered import clustered


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 2**31))
@settings(max_examples=30)
def test_nearest_is_the_slow_search(n: int, k: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    points, centroids = draw.standard_normal((n, 3)).astype(np.float32), draw.standard_normal((k, 3)).astype(np.float32)
    squared = np.square(points[:, None] - centroids).sum(-1)
    codes, gaps = nearest(points, centroids)
    np.testing.assert_allclose(squared[np.arange(n), codes], squared.min(1), atol=1e-5)
    np.testing.assert_allclose(gaps, squared.min(1), atol=1e-5)


def test_groups_that_lie_apart_are_found() -> None:
    centres = 10 * np.eye(5, dtype=np.float32)
    points = np.repeat(centres, 20, 0) + 0.1 * rng(0, "test").standard_normal((100, 5)).astype(np.float32)
    found = kmeans(points, 5, rng(1, "test"))
    codes, _ = nearest(points, found)
    assert [len(set(codes[at : at + 20])) for at in range(0, 100, 20)] == [1] * 5
    np.testing.assert_allclose(
        found[codes[::20]], np.stack([points[at : at + 20].mean(0) for at in range(0, 100, 20)]), atol=1e-5
    )


def test_a_centroid_without_points_goes_to_the_farthest_point() -> None:
    points = np.array([[0.0], [0.1], [5.0], [5.2], [40.0]], np.float32)
    found, error = _passes(points, np.array([[2.5], [900.0], [1000.0]], np.float32), 10, 0.0)
    np.testing.assert_allclose(np.sort(found.ravel()), [0.05, 5.1, 40.0], rtol=1e-6)
    assert error == pytest.approx(0.025, abs=1e-3)


def test_fewer_distinct_points_than_centroids_give_one_each() -> None:
    points = np.repeat(clustered(7), 9, 0)
    found = kmeans(points, 64, rng(0, "test"), nothing=1e-6)
    assert len(found) == 7
    np.testing.assert_allclose(nearest(points, found)[1], 0, atol=1e-5)


def test_more_points_than_take_part_are_served_as_well() -> None:
    points = clustered(3000, 4)
    found = kmeans(points, 8, rng(0, "test"))
    all_of_them, _ = _passes(points, found, 25, 0.0)
    assert nearest(points, found)[1].mean() < 1.05 * nearest(points, all_of_them)[1].mean(), "a sample of 2,048 says nearly all"
