from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headrace.balance.equal import Equal
from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Loss
from headrace.optim.schedules import factor
from headrace.train.ramp import Ramp
from headrace.train.trainer import train
from tests.train.small import CONFIG, Rows, Stopped, learned, model_of, weights

RAMP = replace(CONFIG, accumulate=3, ramp_steps=4, schedule="linear", warmup_steps=2, final_share=0.2, checkpoint_every_steps=1)


def test_it_grows_linearly_from_first_to_last():
    assert [Ramp(1, 5, 8).width(step) for step in range(12)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    assert [Ramp(2, 5, 3).width(step) for step in range(5)] == [2, 3, 4, 5, 5]
    assert [Ramp(1, 4, 0).width(step) for step in range(3)] == [4, 4, 4]


@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 12), st.integers(0, 6), st.integers(0, 20))
def test_the_steps_of_a_run_are_those_that_are_taken(first, more, steps, epochs, batches):
    ramp, step = Ramp(first, first + more, steps), 0
    for _ in range(epochs):
        index = 0
        while index < batches:
            index += ramp.width(step)
            step += 1
    assert ramp.steps_of(epochs, batches) == step


class Watched(Equal):
    def __init__(self):
        self.micro, self.widths, self.rates, self.made = 0, [], [], []

    def backward(self, losses, shared, reevaluate):
        self.micro += 1
        return super().backward(losses, shared, reevaluate)

    def after_step(self, reevaluate):
        self.widths.append(self.micro)
        self.rates.append(self.made[-1].param_groups[0]["lr"])
        self.micro = 0


def test_steps_grow_and_the_schedule_ends_with_the_run():
    balancer = Watched()

    def plain(module):
        balancer.made.append(torch.optim.SGD(module.parameters(), lr=0.1))
        return balancer.made[-1]

    result = train(learned(), RAMP, seed=0, balancer=balancer, optimizer=plain)
    # from 1 to 3 over 4 steps: 1 1 2 2 3 3 ..., cut by the ends of epochs of 5
    assert balancer.widths == [1, 1, 2, 1, 3, 2, 3, 2]
    assert result.steps == 8
    assert balancer.rates == [0.1 * factor(step, 8, "linear", warmup=2, final=0.2) for step in range(8)]


def test_an_epochs_mean_is_over_its_own_steps():
    class Constant:
        def counts(self, batch):
            return {"one": 1.0}

        def __call__(self, model, batch, services):
            return {"one": Loss(0 * model(batch["x"]).sum() + 1.0, 1.0)}

    result = train(learned(objectives=[Constant()]), RAMP, seed=0)
    assert result.curve == [{"one": 1.0}] * 3


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 6, 8, 11])
def test_a_run_taken_up_within_the_ramp_ends_in_the_same_bits(tmp_path, stop_at):
    def run(stop_at, path):
        model = model_of()
        return model, train(learned(model, Rows(stop_at=stop_at)), RAMP, seed=7, checkpoint_path=path)

    straight, result = run(None, None)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        run(stop_at, path)
    again, resumed = run(None, path)
    assert weights(again).equal(weights(straight))
    assert (resumed.curve, resumed.steps) == (result.curve, result.steps)


def test_nothing_to_grow_to_is_refused():
    with pytest.raises(ConfigError, match="lm: train.ramp_from is 3 and train.accumulate 3: a step has nothing to grow to"):
        train(learned(), replace(RAMP, ramp_from=3), seed=0, name="lm")
