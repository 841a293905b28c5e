import logging
import math

import numpy as np
import pytest
import torch

from headrace.balance import BALANCERS
from headrace.contracts.config import parse
from headrace.contracts.training import TrainConfig
from headrace.train.step import NotFinite
from headrace.train.trainer import train
from tests.balance.tasks import Tasks, gradients, learned, losses, named, rows

WEIGHING = [name for name in BALANCERS if name != "equal"]


def config_of(name, **more):
    return parse(TrainConfig, {"balancer": name, "epochs": 2, "device": "cpu", **more}, where="a")


@pytest.mark.parametrize("name", [name for name in WEIGHING if name != "fixed"])
def test_a_task_that_is_no_number_is_left_out_named_and_counted(name, caplog):
    batch = rows(dtype=torch.float32)
    batch["buy"][5] = math.nan  # in the second of three batches
    about = learned(batch)
    with caplog.at_level(logging.WARNING):
        result = train(about, config_of(name), seed=0)
    assert all(one.isfinite().all() for one in about.module.parameters())
    assert [record.message.split(":")[0] for record in caplog.records] == ["buy"], "said once"
    for epoch in result.curve:
        assert epoch["buy left out"] == pytest.approx(1 / 3)
        assert math.isfinite(epoch["buy"])
        assert "click left out" not in epoch


def test_what_sums_over_micro_batches_leaves_nothing_out():
    batch = rows(dtype=torch.float32)
    batch["buy"][5] = math.nan
    with pytest.raises(NotFinite, match="buy became nan.* at step 1"):
        train(learned(batch), config_of("fixed"), seed=0)


def test_the_mean_of_an_epoch_is_over_the_steps_that_had_the_loss():
    batch = rows(dtype=torch.float32)
    batch["buy"][5] = math.nan
    still = train(learned(batch), config_of("mgda", learning_rate=1e-12), seed=0).curve[0]
    model = Tasks(dtype=torch.float32)
    parts = [{key: values[at : at + 4] for key, values in batch.items()} for at in (0, 8)]
    assert still["buy"] == pytest.approx(np.mean([losses(model, part)[1]["buy"].item() for part in parts]), rel=1e-5)


@pytest.mark.parametrize("name", WEIGHING)
def test_no_task_that_is_a_number_is_the_trainers_error(name):
    batch = {key: values * math.nan if key != "x" else values for key, values in rows(dtype=torch.float32).items()}
    with pytest.raises(NotFinite, match="at step 0"):
        train(learned(batch), config_of(name), seed=0)


@pytest.mark.parametrize("name", WEIGHING)
def test_a_task_without_rows_in_the_batch_moves_nothing_and_breaks_nothing(name):
    """Its loss is a constant: 0, or what no parameter changes."""
    model, batch = Tasks(), rows()
    unmoved = lambda: {"click": 1.0, "buy": 1.0, "like": 1.0, "rare": 0.0}  # noqa: E731
    for nothing in (lambda z: (z * 0).sum(), lambda z: torch.tensor(0.7, dtype=z.dtype)):
        model.zero_grad()
        z, found = losses(model, batch)
        with_it = named(name)
        weights = with_it.backward({**found, "rare": nothing(z)}, z, unmoved)
        if hasattr(with_it, "after_step"):
            with_it.after_step(unmoved)
        assert all(math.isfinite(weight) for weight in weights.values())
        assert all(one.grad is None or one.grad.isfinite().all() for one in model.parameters())
        got = gradients(model)
        model.zero_grad()
        z, found = losses(model, batch)
        named(name).backward(found, z, dict)
        torch.testing.assert_close(got, gradients(model))


def test_one_task_alone_keeps_weight_one():
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    assert named("cagrad").backward({"click": found["click"], "buy": found["buy"] * math.nan}, z, dict) == {
        "click": 1.0,
        "buy": 0.0,
    }


def test_the_count_goes_through_the_state():
    one, other = named("mgda"), named("mgda")
    z, found = losses(Tasks(), rows())
    one.backward({"click": found["click"], "buy": found["buy"] * math.nan}, z, dict)
    other.load_state_dict(one.state_dict())
    assert other.skipped == {"buy": 1}
