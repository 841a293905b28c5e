from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.data.aggregator import ALWAYS, Aggregator, Decay, leaking, rounds, standardised, states_of

DAY = 86_400_000_000
DECAYS = [Decay(), Decay(per_sample=1.0), Decay(by="time", half_life_days=3.0)]


@st.composite
def samples(draw):
    """entities, at_us (in order, some alike), values; of few entities and of one."""
    n, n_entities = draw(st.integers(0, 40)), draw(st.integers(1, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    at_us = np.sort(generator.integers(0, 20, n)) * (DAY // 2)
    return generator.integers(n_entities, size=n).astype(np.int32), at_us, generator.normal(size=(n, 3)).astype(np.float32)


def one_by_one(entities, at_us, values, decay):
    sums: dict[int, Any] = {}
    last: dict[int, int] = {}
    found = []
    for entity, moment, value in zip(entities.tolist(), at_us.tolist(), values.astype(float), strict=True):
        gap = moment - last.get(entity, moment)
        kept = decay.per_sample if decay.by == "count" else 2 ** (-gap / (decay.half_life_days * DAY))
        sums[entity] = kept * sums.get(entity, np.zeros(3)) + value
        last[entity] = moment
        found.append(sums[entity])
    return np.array(found).reshape(-1, 3)


@given(some=samples(), decay=st.sampled_from(DECAYS))
def test_it_is_the_plain_loop(some, decay):
    entities, at_us, values = some
    wanted = one_by_one(entities, at_us, values, decay)
    np.testing.assert_allclose(np.asarray(Aggregator(5, 3, decay).add(*some)), wanted, rtol=1e-12, atol=1e-12)


@given(some=samples(), decay=st.sampled_from(DECAYS), share=st.floats(0, 1))
def test_in_two_parts_it_is_the_same(some, decay, share):
    cut = int(share * len(some[0]))
    one, two = Aggregator(5, 3, decay), Aggregator(5, 3, decay)
    whole = one.add(*some)
    parts = [two.add(*(values[rows] for values in some)) for rows in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(two.sums, one.sums)


@given(some=samples(), decay=st.sampled_from(DECAYS), moment=st.integers(-1, 21))
def test_a_state_hangs_on_what_was_strictly_before_alone(some, decay, moment):
    """Another future, the moment itself in it, changes no state as of the moment."""
    entities, at_us, values = some
    moment_us = moment * (DAY // 2)
    everyone = np.arange(5, dtype=np.int32)

    def seen(values):
        sums = standardised(Aggregator(5, 3, decay).add(entities, at_us, values))
        return states_of(entities, at_us, sums, 5).at(everyone, np.full(5, moment_us))

    other = np.where(at_us[:, None] < moment_us, values, values * -3 + 1).astype(np.float32)
    np.testing.assert_array_equal(seen(values), seen(other))
    before = at_us < moment_us
    last = leaking(entities[before], at_us[before], values[before], 5, decay)
    np.testing.assert_array_equal(seen(values), last)


@given(some=samples())
def test_rounds_hold_no_entity_twice_and_all_rows_in_their_order(some):
    entities = some[0]
    found = rounds(entities)
    assert sorted(np.concatenate([*found, np.zeros(0, np.int64)]).tolist()) == list(range(len(entities)))
    for one in found:
        assert len(np.unique(entities[one])) == len(one)
    for entity in range(5):
        mine = [row for one in found for row in one.tolist() if entities[row] == entity]
        assert mine == sorted(mine)


def test_by_hand():
    entities, at_us = np.array([1, 1, 2, 1], np.int32), np.array([0, 3, 3, 9]) * DAY
    values = np.array([[8.0, 0], [1, 1], [5, 7], [0, 2]], np.float32)
    by_time = Aggregator(3, 2, Decay(by="time", half_life_days=3.0)).add(entities, at_us, values)
    np.testing.assert_allclose(by_time, np.array([[8, 0], [5, 1], [5, 7], [1.25, 2.25]]))
    by_count = Aggregator(3, 2, Decay(per_sample=0.5)).add(entities, at_us, values)
    np.testing.assert_allclose(by_count, np.array([[8, 0], [5, 1], [5, 7], [2.5, 2.5]]))


def test_how_active_an_entity_is_does_not_show():
    """A thousand samples of one taste and one of it are the same state; the plain sums are a hundred times apart."""
    entities, taste = np.array([0] * 1000 + [1], np.int32), np.array([1.0, -2, 4], np.float32)
    aggregator = Aggregator(2, 3, Decay())
    aggregator.add(entities, np.arange(1001), np.tile(taste, (1001, 1)))
    norms = np.linalg.norm(aggregator.sums, axis=1)
    assert norms[0] > 99 * norms[1]
    found = standardised(aggregator.sums)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    np.testing.assert_array_equal(standardised(np.array([[0.0] * 3, [0.1] * 3])), np.zeros((2, 3), np.float32))


def test_of_one_moment_the_last_row_stands():
    found = states_of(np.array([2, 0, 2, 2], np.int32), np.array([ALWAYS, 5, 5, 5]), np.arange(4, dtype=np.float32)[:, None], 3)
    assert found.offsets.tolist() == [0, 1, 1, 3]
    assert found.at_us.tolist() == [5, ALWAYS, 5]
    assert found.values[:, 0].tolist() == [1, 0, 3]
    assert found.at(np.array([2, 2], np.int32), np.array([5, 6]))[:, 0].tolist() == [0, 3]


@pytest.mark.parametrize("wrong", [{"per_sample": 0.0}, {"per_sample": 1.5}, {"half_life_days": 0.0}, {"by": "age"}])
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        parse(Decay, wrong, where="here")
