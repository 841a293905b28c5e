"""Each promise of `check_optimizer` is broken once, and the suite has to say which."""

import pytest
import torch

from headrace.testing import check_optimizer


class Descent(torch.optim.Optimizer):
    """Momentum and decoupled decay in a few lines, spoilt as asked."""

    def __init__(self, params, lr=0.1, weight_decay=0.0, *, spoil="", refuses=True):
        if refuses and (lr < 0 or weight_decay < 0):
            raise ValueError("a setting is negative")
        self.spoil, self.steps = spoil, 0
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.set_grad_enabled(self.spoil != "closure"):
                loss = closure()
        self.steps += 1
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.move(parameter, self.param_groups[-1] if self.spoil == "groups" else group)
                elif self.spoil == "no gradient":
                    parameter.add_(1.0)
        return None if self.spoil == "loss" else loss

    def move(self, parameter, group):
        gradient, state = parameter.grad, self.state[parameter]
        state["momentum"] = 0.5 * state.get("momentum", torch.zeros_like(gradient)) + gradient
        rate = -group["lr"] if self.spoil == "ascent" else group["lr"]
        if self.spoil == "draws":
            rate = rate * torch.rand(())
        if self.spoil == "memory":
            rate = rate / self.steps
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(rate * state["momentum"])
        if self.spoil == "drift":
            parameter.add_(1e-3)


def making(**more):
    return lambda params, **asked: Descent(params, **asked, **more)


BAD = {"lr": -1.0, "weight_decay": -1.0}


def test_a_sound_one_passes():
    check_optimizer(making(), bad=BAD)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("draws", "two fresh ones end in different bits"),
        ("memory", "put down after 3 steps it ends in other bits"),
        ("no gradient", "a parameter without a gradient moved"),
        ("drift", "a zero gradient moved a parameter beyond weight decay"),
        ("ascent", "40 steps down a bowl"),
        ("closure", "called once, with gradients enabled"),
        ("loss", "expected the closure's loss"),
        ("groups", "A group with lr = 0 moved"),
    ],
)
def test_a_broken_one(spoil, says):
    with torch.random.fork_rng(), pytest.raises(AssertionError, match=says):
        check_optimizer(making(spoil=spoil), bad=BAD)


def test_settings_that_are_let_through():
    with pytest.raises(AssertionError, match="lr = -1.0 was not refused"):
        check_optimizer(making(refuses=False), bad=BAD)
