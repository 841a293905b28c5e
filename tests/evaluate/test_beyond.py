import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.evaluate import beyond
from headrace.evaluate.beyond import category_diversity, coverage, diversity, gini, novelty
from headrace.evaluate.lists import RankedLists

EVERYTHING = np.array([False, True, True, True, True])


def lists(*rows):
    return RankedLists(np.arange(len(rows)), np.array(rows, np.int32))


def test_coverage_counts_available_items_in_the_top_k():
    assert coverage(lists([1, 2], [1, 3]), EVERYTHING, 1) == 1 / 4
    assert coverage(lists([1, 2], [1, 3]), EVERYTHING, 2) == 3 / 4
    assert coverage(lists([1, 2], [1, 0]), np.array([True, True, False, True]), 2) == 1 / 2


def test_gini_is_0_for_even_and_nears_1_for_one_item():
    assert gini(lists([1, 2], [3, 4]), EVERYTHING, 2) == 0.0
    assert gini(lists([1], [1]), EVERYTHING, 1) == pytest.approx(3 / 4)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=8).filter(any))
def test_gini_is_the_mean_difference_of_pairs(exposures):
    rows = [[item + 1] for item, count in enumerate(exposures) for _ in range(count)]
    available = np.ones(len(exposures) + 1, np.bool_)
    x = np.array(exposures)
    expected = np.abs(x[:, None] - x).sum() / (2 * len(x) * x.sum())
    assert gini(lists(*rows), available, 1) == pytest.approx(expected)


def test_novelty_is_mean_self_information():
    counts = np.array([0, 2, 0, 0, 2])  # (2 + 1) / (4 + 4) and (0 + 1) / 8
    values = novelty(lists([1, 2], [2, 0], [0, 0]), counts, 2)
    assert values[:2].tolist() == pytest.approx([(-math.log2(3 / 8) + 3) / 2, 3.0])
    assert math.isnan(values[2])


def test_diversity_of_known_angles():
    vectors = np.array([[9, 9], [2, 0], [0, 5], [-1, 0], [0, 0]], np.float32)
    values = diversity(lists([1, 2], [1, 3], [1, 4], [1, 0]), vectors, 2)
    assert values[:3].tolist() == pytest.approx([1.0, 2.0, 1.0])
    assert math.isnan(values[3])


def test_diversity_agrees_with_a_loop_over_pairs_in_any_block_size(monkeypatch):
    stream = rng(0, "vectors")
    vectors = stream.normal(size=(9, 3))
    ranked = lists(*(stream.permutation(8)[:5] + 1 for _ in range(6)))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = [
        1 - np.mean([unit[a] @ unit[b] for at, a in enumerate(row) for b in row[at + 1 :]]) for row in ranked.items.tolist()
    ]
    monkeypatch.setattr(beyond, "_GATHERED", 40)
    np.testing.assert_allclose(diversity(ranked, vectors, 5), expected, atol=1e-12)


@given(st.lists(st.frozensets(st.integers(1, 6), max_size=3), min_size=8, max_size=8), st.integers(0, 99))
def test_diversity_of_categories_is_diversity_of_their_indicator_vectors(sets, seed):
    bags = np.array([[0, 0, 0], *([*sorted(one), 0, 0, 0][:3] for one in sets)], np.int32)
    vectors = np.array([[float(category in bag) for category in range(1, 7)] for bag in bags.tolist()])
    items = np.where(rng(seed).random((5, 6)) < 0.3, 0, [rng(seed, str(row)).permutation(8)[:6] + 1 for row in range(5)])
    ranked = lists(*items.tolist())
    np.testing.assert_allclose(category_diversity(ranked, bags, 6), diversity(ranked, vectors, 6), atol=1e-12)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: coverage(lists([1]), EVERYTHING, 2), "k = 2"),
        (lambda: coverage(lists([9]), EVERYTHING, 1), "item 9"),
        (lambda: coverage(lists([1]), np.array([True, False]), 1), "no item is"),
        (lambda: gini(lists([0]), EVERYTHING, 1), "no exposure"),
    ],
)
def test_what_is_refused(ask, says):
    with pytest.raises(DataError, match=says):
        ask()
