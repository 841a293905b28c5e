import dataclasses
import re
from pathlib import Path

import pytest

from headrace.balance import BALANCERS
from headrace.balance.equal import Equal
from headrace.balance.oracles import Shared, Theta, Unseen
from headrace.contracts.components import component_class
from headrace.contracts.config import config, parse
from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.testing import check_balancer
from headrace.train.trainer import train
from tests.balance.tasks import learned, named


@pytest.mark.parametrize("name", BALANCERS)
def test_every_short_name_has_settings_with_defaults_and_keeps_the_contract(name):
    check_balancer(lambda: named(name))


def test_the_default_is_the_plain_sum():
    assert TrainConfig().balancer == "equal"
    assert isinstance(named("equal"), Equal)


def test_settings_say_where_losses_are_compared():
    assert named("mgda").oracle == Shared("own")
    assert named("mgda", oracle="theta", heads="weighted").oracle == Theta("weighted")
    assert isinstance(named("fixed").oracle, Unseen)


@pytest.mark.parametrize("name", BALANCERS)
def test_every_name_and_setting_is_on_the_page_with_its_default(name):
    page = (Path(__file__).parents[2] / "docs" / "balancers.md").read_text()
    assert f"| `{name}` |" in page
    table = [line for line in page.split("| setting |")[1].splitlines() if line.startswith("| `")]
    for field in dataclasses.fields(component_class(BALANCERS[name], {}, "docs", trusted=BALANCERS.values()).Config):
        (line,) = (
            line
            for line in table
            if f"`{field.name}`" in line.split("|")[1] and ("all that" in line or f"`{name}`" in line.split("|")[2])
        )
        shown = line.split("|")[3]
        default = field.default if field.default is not dataclasses.MISSING else None
        wanted = {True: "true", False: "false"}.get(default, str(default)) if isinstance(default, bool) else default
        assert wanted is None or re.search(rf"(^|[\s\"]){re.escape(str(wanted))}($|[\s\",;])", shown), (
            f"{field.name}: {wanted}, {shown}"
        )


def test_unknown_names_and_settings_are_said():
    with pytest.raises(ConfigError, match=r'shop.toml \[rank\].train.balancer: "mgd" is not known here. Did you mean "mgda"'):
        named("mgd")
    with pytest.raises(ConfigError, match=r'train.balancer_settings: "orakle" is not a key. Did you mean "oracle"'):
        named("mgda", orakle="theta")


@pytest.mark.parametrize("asked", [{"accumulate": 2}, {"precision": "bfloat16"}])
def test_what_gradients_of_single_losses_cannot_do_is_refused(asked):
    train_config = parse(TrainConfig, {"balancer": "mgda", "device": "cpu", **asked}, where="a")
    with pytest.raises(ConfigError, match="accumulate" if "accumulate" in asked else "bfloat16"):
        train(learned(), train_config, seed=0, name="shop")


@config
class PlainConfig:
    times: float = 2.0


class Plain:
    """A plugin's."""

    Config = PlainConfig
    revision = 1
    accumulates = mixed_precision = True

    def __init__(self, config):
        self.config = config

    def __call__(self, seen):
        return seen.losses * 0 + self.config.times


def test_a_plugin_is_named_by_its_import_path():
    check_balancer(lambda: named("tests.balance.test_makers:Plain", times=3.0))
