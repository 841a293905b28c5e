import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.rng import rng
from headrace.flywheel.experiment.always_valid import always_valid_p, multiplier, rho_squared


def test_the_boundary_as_written():
    """Waudby-Smith et al., the Gaussian mixture boundary, worked by hand at n = 100, ρ = 0.1, α = 0.05: x = 1."""
    planned = rho_squared(1, 0.05) / 0.01
    assert multiplier(100, planned, 0.05) == pytest.approx(np.sqrt(4 * np.log(np.sqrt(2) / 0.05)))


@given(units=st.integers(10, 10**6), alpha=st.floats(0.001, 0.3))
def test_p_is_alpha_on_the_edge(units, alpha):
    edge = multiplier(units, 5000, alpha)
    assert always_valid_p(edge, units, 5000, alpha) == pytest.approx(alpha)
    assert always_valid_p(edge * 1.01, units, 5000, alpha) < alpha


def test_it_is_tightest_near_the_planned_units():
    units = np.arange(100, 100_000, 100)
    radius = multiplier(units, 10_000, 0.05) / np.sqrt(units)
    other = {planned: multiplier(10_000, planned, 0.05) for planned in (1000, 5000, 10_000, 20_000, 100_000)}
    assert min(other, key=other.__getitem__) == 10_000
    assert (np.diff(radius) < 0).all()


def test_normal_walks_leave_it_less_often_than_alpha_at_any_moment():
    """2,000 walks of 4,000 steps, looked at after each from 50 on: it holds for ever, so fewer have left by then."""
    walks = np.cumsum(rng(0, "walks").standard_normal((2000, 4000), dtype=np.float32), axis=1)
    units = np.arange(1, 4001)
    left = (np.abs(walks) / np.sqrt(units) >= multiplier(units, 400, 0.05).astype(np.float32))[:, 49:].any(1).mean()
    assert 0.005 < left <= 0.05
