import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.power import Population, Sizing, days


def test_two_shares_as_in_the_textbook():
    """Fleiss, Statistical Methods for Rates and Proportions, no continuity correction, unpooled: 0.5 against 0.6 at 80%."""
    assert Sizing().units(Population.of_proportion(0.5), 0.1) == math.ceil((1.959964 + 0.841621) ** 2 * (0.25 + 0.24) / 0.01)


def test_the_rule_of_thumb():
    assert Sizing().units(Population.of_mean(10.0, 3.0), 0.3) == pytest.approx(16 * 9 / 0.09, rel=0.02)


@given(baseline=st.floats(0.01, 0.8), lift=st.floats(0.02, 0.2), rho=st.floats(0, 0.9), ratio=st.floats(0.1, 3))
def test_units_power_and_effect_are_one_relation(baseline, lift, rho, ratio):
    population, sizing = Population.of_proportion(baseline), Sizing(rho=rho, ratio=ratio, power=0.9)
    effect = baseline * lift
    units = sizing.units(population, effect)
    assert sizing.achieved(population, effect, units) >= 0.9 - 1e-9
    assert sizing.achieved(population, effect, units) == pytest.approx(0.9, abs=2 / units + 1e-6)
    assert sizing.effect(population, units) == pytest.approx(effect, rel=2 / units)


def test_cuped_and_looks_change_the_units_by_their_factors():
    mean = Population.of_mean(1.0, 2.0)
    plain = Sizing().units(mean, 0.01)
    assert Sizing(rho=0.6).units(mean, 0.01) == pytest.approx(0.64 * plain, abs=1)
    assert Sizing(inflation=1.03).units(mean, 0.01) == pytest.approx(1.03 * plain, abs=1)


def test_a_ratio_of_constants_per_unit_is_a_mean():
    assert Population.of_ratio(6.0, 2.0, 4.0, 0.0, 0.0).variance(3.0) == pytest.approx(1.0)


def test_days():
    assert days(10_000, 2, 1500, 7) == math.ceil(20_000 / 1500 + 7)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Population.of_proportion(1.2), lambda: Population.of_mean(1.0, 0.0), lambda: Sizing(alpha=0.0),
        lambda: Sizing(power=0.01), lambda: Sizing(rho=1.0), lambda: Sizing(ratio=0.0),
        lambda: Sizing().units(Population.of_mean(1.0, 1.0), 0.0), lambda: Sizing().units(Population.of_proportion(0.9), 0.2),
    ],
)  # fmt: skip
def test_what_cannot_be_sized_is_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()
