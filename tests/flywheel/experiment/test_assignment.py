import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.assignment import OUTSIDE, Allocation, Arm, assign

IDS = np.array([f"user-{number}" for number in range(30_000)])


def allocation(*weights, salt="s", **changed):
    arms = tuple(Arm(name=name, weight=weight) for name, weight in zip("abcd", weights, strict=False))
    return Allocation(salt=salt, arms=arms, **changed)


@settings(max_examples=40)
@given(weights=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=4), salt=st.text("xyz", max_size=3))
def test_arms_get_their_shares(weights, salt):
    of = allocation(*weights, salt=salt)
    counts = np.bincount(assign(of, IDS[:5000]), minlength=len(weights))
    # 40 examples, always the same: one in a million would be chance
    assert chisquare(counts, 5000 * of.shares).pvalue > 1e-6


def test_a_unit_stays_in_its_arm():
    of = allocation(1, 1)
    seven, one = (assign(of, [name])[0] for name in ("user-7", "user-1"))
    assert assign(of, ["user-7", "user-1", "user-7"]).tolist() == [seven, one, seven]
    assert assign(of, IDS[:8]).tolist() == [1, 0, 0, 0, 1, 0, 0, 1]  # a change here would move units of running experiments
    assert assign(of, []).shape == (0,)


def test_experiments_with_other_salts_are_independent():
    one, other = (assign(allocation(1, 1, salt=salt), IDS) for salt in ("first", "second"))
    both = np.bincount(one * 2 + other, minlength=4)
    assert chisquare(both, np.full(4, len(IDS) / 4)).pvalue > 1e-4


def test_a_layer_and_its_arms_are_independent():
    half = assign(allocation(1, 1, span=(0.0, 0.5)), IDS)
    counts = np.bincount(half[half != OUTSIDE])
    assert chisquare(counts).pvalue > 1e-4
    assert abs((half != OUTSIDE).mean() - 0.5) < 0.012  # four deviations of 30,000 coins


@settings(max_examples=40)
@given(weights=st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3), grown=st.integers(0, 2), by=st.floats(1.01, 3.0))
def test_growing_an_arm_moves_only_units_into_it(weights, grown, by):
    before = assign(allocation(*weights), IDS[:3000])
    weights[grown] *= by
    after = assign(allocation(*weights), IDS[:3000])
    assert (after[before != after] == grown).all()


def test_growing_moves_no_more_than_the_share_that_grew():
    before, after = assign(allocation(9, 1), IDS), assign(allocation(9, 2), IDS)
    assert abs((before != after).mean() - (2 / 11 - 1 / 10)) < 0.0065  # four deviations


def test_a_new_arm_moves_only_units_into_it():
    before, after = assign(allocation(1, 1), IDS), assign(allocation(1, 1, 1), IDS)
    assert set(after[before != after]) == {2}


def test_a_wider_span_keeps_every_unit_in_place():
    narrow, wide = (assign(allocation(1, 1, span=(0.0, share)), IDS) for share in (0.1, 0.4))
    inside = narrow != OUTSIDE
    assert (wide[inside] == narrow[inside]).all()


def test_experiments_of_one_layer_share_no_unit():
    first = assign(allocation(1, 1, salt="first", span=(0.0, 0.5)), IDS)
    second = assign(allocation(1, 1, salt="second", span=(0.5, 1.0)), IDS)
    assert ((first == OUTSIDE) != (second == OUTSIDE)).all()
    elsewhere = assign(allocation(1, 1, salt="second", layer="page", span=(0.5, 1.0)), IDS)
    assert 0.24 < ((first != OUTSIDE) & (elsewhere != OUTSIDE)).mean() < 0.26


@pytest.mark.parametrize("wrong", [{"arms": (Arm(name="a"),)}, {"arms": (Arm(name="a"), Arm(name="a"))}, {"span": (0.5, 0.5)}])
def test_an_allocation_that_is_none_is_refused(wrong):
    with pytest.raises(ConfigError):
        Allocation(**{"salt": "s", "arms": (Arm(name="a"), Arm(name="b")), **wrong})
