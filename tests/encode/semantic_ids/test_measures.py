"""What is said of codes, and what is called a change."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.encode.semantic_ids.ids import SemanticIds, told_apart
from headrace.encode.semantic_ids.measures import alike, drift, groups, measured
from headrace.encode.semantic_ids.quantiser import coded
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from tests.encode.semantic_ids.clustered import clustered

VECTORS = np.concatenate([np.zeros((1, 12), np.float32), clustered(600)])


def fitted(seed: int = 0) -> tuple[SemanticIds, ResidualKMeans]:
    quantiser = ResidualKMeans(ResidualKMeansConfig(levels=3, codes=6), seed=seed)
    quantiser.fit_vectors(VECTORS[1:])
    return coded(quantiser, VECTORS), quantiser


def test_on_clustered_vectors_the_cosine_rises_and_the_error_falls_with_depth() -> None:
    found = measured(*fitted(), VECTORS)
    assert (np.diff(found.cosine) > 0).all()
    assert found.cosine[1] > found.cosine[0] + 0.5
    assert (np.diff(found.error) < 0).all()
    assert found == measured(*fitted(), VECTORS), "pairs are drawn by the seed"
    ids, quantiser = fitted()
    noise = np.random.default_rng(0).permutation(ids.codes[1:, :3])
    senseless = told_apart(np.concatenate([ids.codes[:1, :3], noise]), (6, 6, 6))
    flat = measured(senseless, quantiser, VECTORS).cosine
    assert max(flat) - min(flat) < 0.1, "codes that mean nothing do not pass"


def test_usage_is_counted_by_level_without_the_last() -> None:
    codes = np.array([[-1, -1], [0, 1], [0, 1], [1, 1], [1, 1], [1, 0]], np.int32)
    ids = told_apart(codes, (4, 2))
    quantiser = ResidualKMeans(ResidualKMeansConfig(levels=2, codes=2))
    quantiser.fit_vectors(np.eye(6, 3, dtype=np.float32))
    found = measured(ids, quantiser, np.eye(6, 3, dtype=np.float32))
    assert [(level.of, level.used) for level in found.levels] == [(4, 2), (2, 2)]
    assert found.levels[0].perplexity == pytest.approx(math.exp(-0.4 * math.log(0.4) - 0.6 * math.log(0.6)))
    assert found.shared == pytest.approx(4 / 5)
    assert (found.items, found.with_codes, found.most_on_a_code, found.last_level) == (5, 5, 2, 2)


def test_where_no_two_items_share_a_prefix_there_is_no_cosine_and_json_says_null() -> None:
    codes = np.array([[-1], [0], [1], [2]], np.int32)
    quantiser = ResidualKMeans(ResidualKMeansConfig(levels=1, codes=3))
    quantiser.fit_vectors(VECTORS[1:4])
    found = measured(told_apart(codes, (3,)), quantiser, VECTORS[:4])
    assert math.isnan(found.cosine[1])
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["cosine"][1] is None


def test_numbers_given_anew_are_no_drift() -> None:
    ids, _ = fitted()
    renamed = ids.codes.copy()
    for level in range(3):
        names = np.random.default_rng(level).permutation(6)
        renamed[1:, level] = names[ids.codes[1:, level]]
    for one in drift(SemanticIds(renamed, ids.sizes), ids):
        assert one.moved > 0.5
        assert (one.rand, one.mutual) == pytest.approx((1, 1))
    assert [one.moved for one in drift(ids, ids)] == [0, 0, 0]


def test_items_that_moved_are_counted_at_every_depth() -> None:
    ids, _ = fitted()
    other = ids.codes.copy()
    rows = np.arange(1, 61)
    other[rows, 1] = (other[rows, 1] + 1) % 6
    found = drift(told_apart(other[:, :3], (6, 6, 6)), ids)
    assert [one.moved for one in found] == pytest.approx([0, 0.1, 0.1])
    assert found[0].rand == 1
    assert found[1].rand < 1


def test_items_are_matched_by_the_numbers_they_have_in_each_fit() -> None:
    ids, _ = fitted()
    turned = SemanticIds(np.concatenate([ids.codes[:1], ids.codes[:0:-1]]), ids.sizes)
    same = drift(turned, ids, {row: len(ids) - row for row in range(1, len(ids))})
    assert [one.moved for one in same] == [0, 0, 0]


def test_two_groupings_by_hand() -> None:
    """Of six, {1, 1, 2} and {1, 2, 2} share cells 2, 1, 1, 2: together 2; rows 3 + 3, columns 3 + 3, of 15 pairs."""
    one, other = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 0, 1, 1])
    rand, mutual = alike(one, other)
    assert rand == pytest.approx((2 - 36 / 15) / (6 - 36 / 15))
    assert mutual == pytest.approx((2 * math.log(2) + (2 / 3) * math.log(1 / 3) + (1 / 3) * math.log(1 / 6)) / math.log(2))


@given(st.integers(2, 40), st.integers(0, 2**31))
@settings(max_examples=30)
def test_groupings_are_alike_both_ways_and_whatever_they_are_called(n: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    one, other = draw.integers(5, size=n), draw.integers(5, size=n)
    assert alike(one, other) == pytest.approx(alike(other, one))
    assert alike(one, other) == pytest.approx(alike(groups(((one * 7 + 3) % 11)[:, None].astype(np.int32)), other))
    assert alike(one, one) == pytest.approx((1, 1))


def test_random_groupings_have_nothing_in_common() -> None:
    draw = np.random.default_rng(0)
    rand, mutual = alike(draw.integers(8, size=20_000), draw.integers(8, size=20_000))
    assert abs(rand) < 0.01
    assert mutual < 0.01
