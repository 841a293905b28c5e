"""The made-up clicks: a rate that is asked for, a truth that stays, rows that are drawn."""

import numpy as np
import pytest

from headrace.contracts.rng import rng
from headrace.evaluate.pointwise import normalized_entropy
from headrace.world.clicks import SIZES, ClickTruth


@pytest.fixture(scope="module")
def truth():
    return ClickTruth.of()


def test_the_rate_is_what_was_asked_for(truth):
    made = truth.rows(50_000, rng(1, "rows"))
    assert made.values.shape == (50_000, len(SIZES))
    assert made.chance.mean() == pytest.approx(0.02, rel=0.03)
    # four standard errors of a drawn rate
    assert made.click.mean() == pytest.approx(made.chance.mean(), abs=4 * np.sqrt(0.02 / 50_000))
    assert normalized_entropy(made.click, made.chance) < 0.8, "there is much to learn"


def test_what_a_value_is_worth_does_not_hang_on_the_rows(truth):
    first, second = (truth.rows(500, rng(seed, "rows")) for seed in (1, 2))
    assert not np.array_equal(first.values, second.values)
    again = ClickTruth.of().rows(500, rng(1, "rows"))
    assert np.array_equal(again.chance, first.chance)
    assert np.array_equal(again.click, first.click)


def test_fields_are_sparse_and_rare_values_are_counted(truth):
    made = truth.rows(20_000, rng(3, "rows"))
    users = made.values[:, SIZES.index(5_000)]
    seen = np.bincount(users, minlength=5_000)
    assert np.median(seen[seen > 0]) < 5 < seen.max() / 100
    assert made.values.max(0).tolist() <= [size - 1 for size in SIZES]
    assert 0.1 < (made.rare >= 2).mean() < 0.4
    few = np.array([size < 100 for size in SIZES])
    assert made.rare.max() <= (~few).sum(), "no value of a small field is rare"
