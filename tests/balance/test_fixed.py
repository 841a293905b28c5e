import pytest
import torch

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.testing import check_balancer
from headrace.train.trainer import train
from tests.balance.tasks import Tasks, gradients, learned, losses, named, rows


def test_contract():
    check_balancer(lambda: named("fixed"))


def test_losses_are_weighed_and_those_not_named_keep_theirs():
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    assert named("fixed", weights={"buy": 3.0}).backward(found, z, dict) == {"click": 1.0, "buy": 3.0, "like": 1.0}
    got = gradients(model)
    model.zero_grad()
    _, found = losses(model, batch)
    (found["click"] + 3 * found["buy"] + found["like"]).backward()
    torch.testing.assert_close(got, gradients(model))


def test_a_name_that_is_no_loss_is_refused():
    asked = parse(TrainConfig, {"balancer": "fixed", "balancer_settings": {"weights": {"by": 2.0}}, "device": "cpu"}, where="a")
    with pytest.raises(ConfigError, match=r'weights: "by" is no loss here. Did you mean "buy"\? Losses: buy, click, like'):
        train(learned(), asked, seed=0)


def test_it_may_be_summed_over_micro_batches_and_mixed():
    assert named("fixed").accumulates
    assert named("fixed").mixed_precision
