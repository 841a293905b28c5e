import numpy as np
import pytest

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.world.settings import DAY_US, SIZES, START_US, WorldConfig, day_of
from tests.world.tiny import TINY


def test_sizes_are_those_that_were_asked_for():
    assert (SIZES["small"].users, SIZES["small"].items) == (2000, 4000)
    assert SIZES["small"].recalled == 200
    assert all(config.considered == 40 and config.slots == 4 for config in SIZES.values())


def test_what_cannot_be_is_refused_with_its_numbers():
    with pytest.raises(ConfigError, match=r"200 items are recalled .* only 80 are there on day 0"):
        parse(WorldConfig, {"items": 100}, where="world.toml")
    with pytest.raises(ConfigError, match=r"slots \(50\), considered \(40\)"):
        parse(WorldConfig, {"slots": 50}, where="world.toml")
    with pytest.raises(ConfigError, match='"driftt" is not a key. Did you mean "drift"'):
        parse(WorldConfig, {"driftt": 0.1}, where="world.toml")


def test_days_begin_at_midnight():
    assert day_of(START_US + np.array([-1, 0, 3 * DAY_US])).tolist() == [-1, 0, 3]


def test_a_world_of_one_day_has_all_its_items():
    assert WorldConfig(days=1).old_items == 4000
    assert TINY.old_items == 240
