import math

import pytest

from headrace.flywheel.experiment.designs import Look, critical, inflation, p_value

DESIGNS = ("fixed", "group_sequential", "confidence_sequence")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("z", [0.3, 2.2, 3.6])
def test_p_is_under_alpha_exactly_where_the_interval_leaves_zero_out(design, z):
    look = Look(units=1600, planned=2000 if design != "fixed" else 1600, earlier=(400, 900))
    for alpha in (0.05, 0.01):
        # a confidence sequence stays tuned for the plan's alpha, here the same
        assert (p_value(design, alpha, look, z) < alpha) == (z > critical(design, alpha, look))
    if design == "group_sequential":
        assert critical(design, p_value(design, 0.05, look, z), look) == pytest.approx(z, abs=1e-4)


def test_a_fixed_horizon_says_nothing_before_its_end():
    early = Look(units=999, planned=1000)
    assert critical("fixed", 0.05, early) == math.inf
    assert p_value("fixed", 0.05, early, 9.0) == 1.0
    assert critical("fixed", 0.05, Look(units=999, planned=1000, last=True)) == pytest.approx(1.95996, abs=1e-5)


def test_a_confidence_sequence_says_nothing_in_its_burn_in():
    assert critical("confidence_sequence", 0.05, Look(units=99, planned=1000, burn_in=100)) == math.inf
    assert p_value("confidence_sequence", 0.05, Look(units=99, planned=1000, burn_in=100), 9.0) == 1.0


def test_the_last_look_spends_what_is_left():
    short = Look(units=700, planned=1000, earlier=(400,), last=True)
    assert critical("group_sequential", 0.05, short) < critical(
        "group_sequential", 0.05, Look(units=700, planned=1000, earlier=(400,))
    )


def test_inflation_as_published():
    """Jennison and Turnbull 1999, table 2.4: O'Brien-Fleming, five looks, α 0.05, power 0.8: 1.028; spending is near it."""
    assert inflation("group_sequential", 0.05, 0.8, 5) == pytest.approx(1.028, abs=0.005)
    assert inflation("fixed", 0.05, 0.8, 5) == 1.0
    assert 1.5 < inflation("confidence_sequence", 0.05, 0.8, 5) < 2.0
