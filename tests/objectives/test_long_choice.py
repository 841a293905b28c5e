import pytest

from headrace.contracts.errors import ConfigError
from headrace.objectives.long_choice import LongConfig


def test_heads_share_the_width():
    assert LongConfig(item_dim=12, heads=3).heads == 3
    with pytest.raises(ConfigError, match=r"item_dim = 16 is not a multiple of heads = 3"):
        LongConfig(heads=3)


def test_what_is_asked_of_every_choice_is_asked_here():
    from headrace.objectives.choice import Perturb

    with pytest.raises(ConfigError, match="pointwise"):
        LongConfig(perturb=Perturb())
