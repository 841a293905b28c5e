import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError
from headrace.contracts.rng import rng
from headrace.flywheel.experiment.normal import quantile
from headrace.flywheel.experiment.sequential import crossing, equal, obrien_fleming, spending, spent


@pytest.mark.parametrize(
    ("looks", "alpha", "constant"),
    [
        (1, 0.05, 1.960), (2, 0.05, 1.977), (3, 0.05, 2.004), (4, 0.05, 2.024), (5, 0.05, 2.040), (10, 0.05, 2.087),
        (2, 0.01, 2.580), (3, 0.01, 2.595), (4, 0.01, 2.609), (5, 0.01, 2.621),
    ],
)  # fmt: skip
def test_obrien_flemings_constants_as_published(looks, alpha, constant):
    """Jennison and Turnbull 1999, table 2.3, two-sided."""
    assert obrien_fleming(looks, alpha) == pytest.approx(
        constant * np.sqrt(looks / np.arange(1, looks + 1)), abs=5e-4 * np.sqrt(looks)
    )


def test_spending_as_published():
    """Lan-DeMets with O'Brien-Fleming spending, five equal looks, two-sided 0.05: 4.877, 3.357, 2.680, 2.290, 2.031 (Reboussin
    et al., Control. Clin. Trials 2000)."""
    assert spending(equal(5)) == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=5e-4)


def test_pococks_constant_through_the_same_recursion():
    """Five looks at 2.413 cross with 5% (Pocock, Biometrika 1977); at 1.96 with 14.2% (Armitage et al. 1969)."""
    assert crossing(equal(5), [2.413] * 5)[-1] == pytest.approx(0.05, abs=1e-4)
    assert crossing(equal(5), [1.96] * 5)[-1] == pytest.approx(0.142, abs=5e-4)


def test_the_recursion_against_walks():
    times, criticals = [0.1, 0.35, 0.5, 1.0], np.array([3.0, 2.5, 2.2, 2.0])
    steps = np.diff([0.0, *times])
    walks = np.cumsum(rng(0, "walks").normal(1.5 * steps, np.sqrt(steps), (200_000, 4)), axis=1) / np.sqrt(times)
    stopped = np.maximum.accumulate(np.abs(walks) >= criticals, axis=1).mean(0)
    assert crossing(times, criticals, drift=1.5) == pytest.approx(stopped, abs=0.0045)  # four deviations of 200,000 walks


@given(looks=st.lists(st.integers(1, 400), min_size=1, max_size=5, unique=True).map(sorted), alpha=st.floats(0.001, 0.2))
def test_whatever_the_looks_alpha_is_spent_and_no_more(looks, alpha):
    criticals = spending(looks, alpha)
    assert crossing([n / looks[-1] for n in looks], criticals)[-1] == pytest.approx(alpha, abs=1e-7)


def test_a_look_before_the_end_spends_what_its_time_allows():
    criticals = spending([100, 200], planned=500, last=False)
    assert criticals == pytest.approx(spending(equal(5))[:2], abs=1e-6)
    assert crossing([0.2, 0.4], criticals)[-1] == pytest.approx(spent(0.4, 0.05), abs=1e-9)


def test_an_overrun_still_spends_alpha():
    criticals = spending([200, 400, 700], planned=500)
    assert crossing([2 / 7, 4 / 7, 1.0], criticals)[-1] == pytest.approx(0.05, abs=1e-8)
    assert criticals[:2] == pytest.approx(spending([200, 400], planned=500, last=False), abs=1e-6)


def test_one_look_is_the_usual_test():
    assert spending([1000])[0] == pytest.approx(quantile(0.975))


def test_looks_go_on():
    with pytest.raises(ConfigError, match="more than the one before"):
        spending([200, 200])
