from dataclasses import replace

import pytest

from headrace.contracts.errors import ConfigError
from headrace.world.live import World
from headrace.world.settings import WorldConfig
from tests.world.tiny import TINY, logger


@pytest.mark.parametrize("change", [{}, {"temperature": 0.0, "epsilon": 0.0, "position_bias": 0.0}])
def test_three_to_five_percent_of_impressions_are_clicked(change):
    config = replace(WorldConfig(users=800, items=2000), **change)
    world = World(config, 0)
    outcome = world.step(logger(config), regret=False)
    assert 0.03 < outcome.expected["click"][~outcome.random].mean() < 0.05


def test_a_rate_beyond_what_is_looked_at_is_refused():
    with pytest.raises(ConfigError, match=r"ctr = 0.9 can't be reached: only 0.\d+ of the slots are looked at"):
        World(replace(TINY, ctr=0.9), 0)
