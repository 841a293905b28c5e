import pytest
import torch
from torch import nn

from headrace.contracts.config import config, parse
from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.optim import OPTIMIZERS
from headrace.optim.apollo import APOLLO
from headrace.optim.makers import maker_of
from headrace.testing import check_optimizer


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.body, self.norm = nn.Embedding(50, 8), nn.Linear(8, 6), nn.LayerNorm(6)


def made(name, **settings):
    train = parse(TrainConfig, {"optimizer": name, "optimizer_settings": settings, "learning_rate": 0.02}, where="shop.toml")
    return maker_of(train, "shop.toml [sasrec]")(Model(), train, seed=3)


def test_the_default_is_torchs_fused_adamw():
    optimizer = made("adamw")
    assert type(optimizer) is torch.optim.AdamW
    wanted = torch.optim.AdamW(Model().parameters(), lr=0.02, weight_decay=0.0, betas=(0.9, 0.98), fused=True)
    of = lambda one: {name: value for name, value in one.param_groups[0].items() if name != "params"}  # noqa: E731
    assert of(optimizer) == of(wanted)
    assert TrainConfig().optimizer == "adamw"


def test_adamw_keeps_the_contract():
    check_optimizer(lambda parameters, **asked: torch.optim.AdamW(parameters, fused=True, **asked))


@pytest.mark.parametrize("name", ["apollo", "apollo_mini"])
def test_apollo_projects_matrices_and_leaves_embeddings_to_adamw(name):
    optimizer = made(name, rank=1, refresh_every=7)
    assert isinstance(optimizer, APOLLO)
    module = Model()
    train = TrainConfig(optimizer=name, optimizer_settings={"rank": 1})
    again = maker_of(train, "a")(module, train, seed=3)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    again.step()
    shapes = {key: tuple(again.state[one]["exp_avg"].shape) for key, one in module.named_parameters()}
    assert shapes["table.weight"] == (50, 8)
    assert shapes["body.weight"] == (1, 8), "6 rows by 8 columns: the rows are compressed"
    assert (optimizer.param_groups[0]["refresh_every"], optimizer.param_groups[0]["seed"], optimizer.defaults["lr"]) == (
        7,
        3,
        0.02,
    )
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.98)


def test_every_short_name_has_settings_with_defaults():
    for name in OPTIMIZERS:
        assert made(name).param_groups


def test_unknown_names_and_settings_are_said():
    with pytest.raises(ConfigError, match=r'shop.toml \[sasrec\].train.optimizer: "apolo" is not known here. Did you mean "ap'):
        made("apolo")
    with pytest.raises(ConfigError, match=r'train.optimizer_settings: "ranks" is not a key. Did you mean "rank"'):
        made("apollo", ranks=4)
    with pytest.raises(ConfigError, match=r'"rank" is 0'):
        made("apollo", rank=0)


@config
class PlainConfig:
    momentum: float = 0.9


class Plain:
    """A plugin's."""

    Config = PlainConfig
    revision = 1

    def __init__(self, config):
        self.config = config

    def __call__(self, module, train, *, seed):
        return torch.optim.SGD(module.parameters(), lr=train.learning_rate, momentum=self.config.momentum)


def test_a_plugin_is_named_by_its_import_path():
    optimizer = made("tests.optim.test_makers:Plain", momentum=0.5)
    assert (type(optimizer).__name__, optimizer.param_groups[0]["momentum"]) == ("SGD", 0.5)
    with pytest.raises(ConfigError, match="can't be imported"):
        made("tests.optim.test_makers:Missing")
