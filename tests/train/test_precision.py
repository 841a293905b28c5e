import pytest
import torch
from torch.testing import assert_close

from headrace.balance.equal import Equal
from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig
from headrace.train.precision import autocast_dtype
from headrace.train.trainer import train
from tests.train.small import CONFIG, Squared, learned, model_of, weights

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class PerLoss(Equal):
    accumulates = False


class Declared(PerLoss):
    mixed_precision = True


def test_auto_is_float32_on_a_cpu_and_bfloat16_on_a_gpu_that_has_it(monkeypatch):
    assert autocast_dtype("auto", CPU, Equal(), "m") is None
    for has, wanted in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has: has)
        assert autocast_dtype("auto", GPU, Equal(), "m") is wanted
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert autocast_dtype("auto", GPU, PerLoss(), "m") is None, "a balancer that can't has float32"
    assert autocast_dtype("float32", GPU, Equal(), "m") is None


def test_a_balancer_that_cannot_is_refused_by_name():
    config = TrainConfig(**vars(CONFIG) | {"precision": "bfloat16"})
    with pytest.raises(ConfigError, match="PerLoss works on the gradients of single losses"):
        train(learned(), config, seed=0, balancer=PerLoss())
    assert autocast_dtype("bfloat16", CPU, Declared(), "m") is torch.bfloat16


def test_the_forward_is_mixed_and_the_parameters_are_not():
    kinds = set()

    class Watched(Squared):
        def __call__(self, model, batch, services):
            kinds.add(model(batch["x"]).dtype)
            return super().__call__(model, batch, services)

    ended = {}
    for precision in ("float32", "bfloat16"):
        ended[precision] = model_of(dropout=0.0)
        config = TrainConfig(**vars(CONFIG) | {"precision": precision})
        train(learned(ended[precision], objectives=[Watched()]), config, seed=0)
    assert kinds == {torch.float32, torch.bfloat16}
    assert {tensor.dtype for tensor in ended["bfloat16"].state_dict().values()} == {torch.float32}
    # bfloat16 keeps 8 bits of each product; 15 steps of 0.05 each turn about where they do in float32
    assert_close(weights(ended["bfloat16"]), weights(ended["float32"]), rtol=0, atol=0.1)
    assert not weights(ended["bfloat16"]).equal(weights(ended["float32"]))
