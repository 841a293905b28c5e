import pytest
import torch

from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.methods.rank.dcnv2 import DCNv2, DCNv2Config
from headrace.methods.rank.din import DIN, DINConfig
from headrace.nn.seeded import seeded
from headrace.objectives.choice import Perturb
from headrace.objectives.listwise import ListwiseChoice
from headrace.objectives.lspr import Lspr, LsprByGroup
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.scr import Scr
from headrace.testing import check_objective
from headrace.train.trainer import train
from tests.methods.examples import featured

SMALL = {"item_dim": 4, "feature_dim": 3, "hidden": [8], "history": 5, "width": 4, "batch_size": 8}


def learned(kind, values):
    interactions, artifacts = featured()
    model = kind(parse(kind.Config, {**SMALL, **values}, where="shop.toml [rank]"))
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts)


@pytest.mark.parametrize("kind", [DCNv2, DIN])
@pytest.mark.parametrize(
    ("values", "objective", "weights"),
    [
        ({}, ListwiseChoice, {}),
        ({"loss": "pointwise"}, PointwiseChoice, {}),
        ({"loss": "pointwise", "perturb": {}}, Lspr, {}),
        ({"loss": "pointwise", "perturb": {"groups": "user.age"}}, LsprByGroup, {}),
        ({"loss": "pointwise", "perturb": {"by": "scr", "weight": 0.2}}, Scr, {"consistency": 0.2}),
    ],
)
def test_what_the_toml_says_is_what_is_trained(kind, values, objective, weights):
    model, made = learned(kind, values)
    assert type(made.objectives[0]) is objective
    assert made.weights == weights
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])


@pytest.mark.parametrize("perturb", [{"noise": 0.3}, {"by": "scr"}, {"at": "input", "mask": 0.2}, {"at": "hidden"}])
def test_a_run_that_was_cut_goes_on_bit_for_bit(tmp_path, perturb):
    values = {"loss": "pointwise", "perturb": perturb}

    def trained(*epochs):
        for most in epochs:
            model, made = learned(DCNv2, values)
            train(
                made, TrainConfig(epochs=most, device="cpu"), seed=0, run="one", artifacts=dict.fromkeys(made.needs),
                checkpoint_path=tmp_path / "-".join(map(str, epochs)),
            )  # fmt: skip
        return model.state_dict()

    whole, cut = trained(4), trained(2, 4)
    assert all(values.equal(cut[name]) for name, values in whole.items())
    plain, made = learned(DCNv2, {"loss": "pointwise"})
    train(made, TrainConfig(epochs=4, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    assert not torch.equal(plain.state_dict()["head.weight"], whole["head.weight"])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"perturb": {}}, 'perturb stands around the pointwise loss, and loss is "listwise". Set loss = "pointwise"'),
        ({"loss": "pointwise", "perturb": {"mask": 0.1}}, 'mask = 0.1 hides codes of the input, and at is "embedding"'),
        ({"loss": "pointwise", "perturb": {"by": "scr", "groups": "a"}}, "groups are balanced by lspr"),
        ({"loss": "pointwise", "perturb": {"alfa": 0.1}}, '"alfa" is not a key. Did you mean "alpha"'),
        ({"loss": "pointwise", "perturb": {"alpha": 1.5}}, '"alpha" is 1.5'),
        (
            {"loss": "pointwise", "perturb": {"groups": "user.town"}},
            'groups = "user.town" is no feature of users. They have: user.age',
        ),
    ],
)
def test_mistakes(values, says):
    with pytest.raises(ConfigError) as error:
        learned(DCNv2, values)
    assert says in str(error.value)


def test_a_component_of_before_is_still_read():
    """Its settings know nothing of perturbing."""
    for kind in (DCNv2Config, DINConfig):
        before = {name: value for name, value in as_dict(kind()).items() if name != "perturb"}
        assert parse(kind, before, where="manifest") == kind()
    assert parse(DCNv2Config, as_dict(DCNv2Config(loss="pointwise", perturb=Perturb())), where="manifest").perturb == Perturb()
