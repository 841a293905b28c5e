import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import rng
from headrace.contracts.training import TrainConfig
from headrace.optim.laws import best_rate, fit_law, with_rate_of_law

LENGTHS = (1e5, 2e5, 4e5)
GRID = np.array([1e-4 * 2.0**step for step in range(12)])


def bowls(beta, noise=0.0, seeds=3):
    """Losses whose best rate is 0.015 (D / 1e5)^(-β) exactly, [seeds, K, G]."""
    best = np.array([0.15 * (length / 1e5) ** -beta * 0.1 for length in LENGTHS])
    clean = 2.0 + 0.05 * np.log(GRID / best[:, None]) ** 2
    return clean + noise * rng(0, "bowls").normal(size=(seeds, *clean.shape))


@settings(max_examples=20, deadline=None)
@given(beta=st.floats(-0.5, 1.0))
def test_an_exact_law_is_found(beta):
    law = fit_law(LENGTHS, np.tile(GRID, (3, 1)), bowls(beta), batch=512, resamples=10)
    assert law.beta == pytest.approx(beta, abs=1e-6)
    assert law(8e5) == pytest.approx(0.015 * 8**-beta, rel=1e-5)
    assert law.interval == pytest.approx((beta, beta), abs=1e-6)


def test_noise_widens_the_interval_around_it():
    law = fit_law(LENGTHS, np.tile(GRID, (3, 1)), bowls(0.5, noise=0.01), batch=512)
    assert law.interval[0] < 0.5 < law.interval[1]
    assert 0.01 < law.interval[1] - law.interval[0] < 1.0
    alone = fit_law(LENGTHS, np.tile(GRID, (3, 1)), bowls(0.5, seeds=1), batch=512)
    assert alone.interval == pytest.approx((0.0, 1.0)), "one seed: a step of the grid, over two doublings"


def test_runs_that_diverged_are_left_out():
    losses = bowls(0.3)[0, 0]
    spoilt = np.where(GRID > 0.06, np.nan, losses)
    assert best_rate(GRID, spoilt) == pytest.approx(best_rate(GRID, losses))


def test_the_best_is_never_a_rate_that_diverged():
    """Losses that fall up to the last rate that held: the quadratic's vertex lies beyond it."""
    losses = np.where(np.arange(12) > 7, np.inf, (np.log(GRID / GRID[9])) ** 2)
    assert best_rate(GRID, losses) == GRID[7]
    assert GRID[7] < best_rate(GRID, np.where(np.isinf(losses), losses[7] + 1e-3, losses)) <= GRID[8]


def test_a_best_at_the_edge_is_refused():
    with pytest.raises(DataError, match="the best of 12 rates is the lowest, 0.0001: the least loss may lie beyond"):
        best_rate(GRID, np.arange(12.0))
    with pytest.raises(DataError, match="is the highest"):
        fit_law(LENGTHS, np.tile(GRID, (3, 1)), np.tile(-np.arange(12.0), (1, 3, 1)), batch=1)
    with pytest.raises(DataError, match=r"expected two different lengths or more"):
        fit_law([1.0], GRID[None], np.zeros((1, 1, 12)), batch=1)


def test_it_sets_a_training_rate_at_its_own_batch_alone():
    law = fit_law(LENGTHS, np.tile(GRID, (3, 1)), bowls(0.5), batch=512)
    config = law.applied(TrainConfig(schedule="cosine"), length=4e5, batch=512)
    assert (config.schedule, config.learning_rate) == ("cosine", law(4e5))
    with pytest.raises(ConfigError, match="fitted at 512 tokens a step, and 256 were asked for"):
        law.applied(TrainConfig(), length=4e5, batch=256)


def test_a_training_section_takes_the_law_itself():
    law = fit_law(LENGTHS, np.tile(GRID, (3, 1)), bowls(0.5), batch=512)
    asked = TrainConfig(rate_law=law.settings, accumulate=4)
    assert with_rate_of_law(asked, 800, "lm").learning_rate == pytest.approx(law(800 * 512))
    assert with_rate_of_law(TrainConfig(), 800, "lm") == TrainConfig()
    with pytest.raises(ConfigError, match="lm: train.rate_law was fitted at 512 a step and train.ramp_steps is 10"):
        with_rate_of_law(TrainConfig(rate_law=law.settings, accumulate=4, ramp_steps=10), 800, "lm")
