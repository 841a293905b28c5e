"""A body, a head a task, and a step of them that a balancer takes; and the same as a thing to train."""

from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from headrace.balance.makers import balancer_of
from headrace.contracts.config import parse
from headrace.contracts.seams import Learned, Loss
from headrace.contracts.training import TrainConfig
from headrace.nn.seeded import seeded
from headrace.train.trainer import train

TASKS = ("click", "buy", "like")


class Tasks(nn.Module):
    """x [B, 4] -> z [B, 6] -> a number a task. Scales tell how much larger the one loss is than the other."""

    body: Any
    heads: Any

    def __init__(self, tasks=TASKS, dtype=torch.float64):
        super().__init__()
        with seeded(0, "tasks"):
            self.body = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6), nn.Tanh())
            self.heads = nn.ModuleDict({task: nn.Linear(6, 1) for task in tasks})
        self.to(dtype)

    def forward(self, x):
        z = self.body(x)
        return z, {task: head(z).squeeze(-1) for task, head in self.heads.items()}


def rows(tasks=TASKS, n=12, dtype=torch.float64):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(n, 4, generator=draw, dtype=dtype)
    return {"x": x} | {task: (10.0**at) * torch.randn(n, generator=draw, dtype=dtype) for at, task in enumerate(tasks)}


def losses(model, batch):
    z, out = model(batch["x"])
    return z, {task: (found - batch[task]).square().mean() for task, found in out.items()}


def gradients(model, of=""):
    """By the name of their parameter; of: how it starts."""
    found = {name: one.grad for name, one in model.named_parameters() if name.startswith(of)}
    return {name: one.clone() for name, one in found.items() if one is not None}


def explicit(model, batch):
    """task -> its gradient at each parameter, one whole backward each."""
    found = {}
    for task in model.heads:
        model.zero_grad()
        losses(model, batch)[1][task].backward()
        found[task] = {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    return found


def named(balancer, **settings):
    return balancer_of(
        parse(TrainConfig, {"balancer": balancer, "balancer_settings": settings}, where="shop.toml"), "shop.toml [rank]"
    )


class Batches:
    def __init__(self, batch, size=4):
        self.batch, self.size = batch, size

    def epoch(self, epoch):
        return [{name: part.roll(epoch, 0) for name, part in cut.items()} for cut in self._cuts()]

    def _cuts(self):
        n = len(self.batch["x"])
        return [{name: values[at : at + self.size] for name, values in self.batch.items()} for at in range(0, n, self.size)]


def objective(model, batch, services):
    z, found = losses(model, batch)
    return {task: Loss(loss, float(len(batch["x"])), z) for task, loss in found.items()}


def learned(batch=None, model=None):
    return Learned(model or Tasks(dtype=torch.float32), [objective], Batches(batch or rows(dtype=torch.float32)))


def check_resume(tmp_path, name, **settings):
    """A run taken up from its checkpoint after two of four epochs ends in the bits of one that went through."""
    through, again = learned(), learned()
    asked = {"epochs": 4, "balancer": name, "balancer_settings": settings, "device": "cpu", "learning_rate": 0.01}
    whole = train(through, parse(TrainConfig, asked, where="a"), seed=0)
    path = tmp_path / "checkpoint.safetensors"
    train(learned(), parse(TrainConfig, asked | {"epochs": 2}, where="a"), seed=0, checkpoint_path=path)
    taken = train(again, parse(TrainConfig, asked, where="a"), seed=0, checkpoint_path=path)
    assert taken.curve == whole.curve
    for one, other in zip(through.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(one, other)
    fresh, trained = learned(), learned()
    unresumed = parse(TrainConfig, asked | {"epochs": 2}, where="a")
    train(trained, unresumed, seed=0)
    train(fresh, parse(TrainConfig, asked | {"epochs": 2, "balancer": "equal", "balancer_settings": {}}, where="a"), seed=0)
    moved = [not torch.equal(a, b) for a, b in zip(trained.module.parameters(), fresh.module.parameters(), strict=True)]
    assert any(moved), "it trains like the plain sum: nothing was balanced"


@st.composite
def grams(draw, tasks=(2, 5), silent=False):
    """Of m gradients in 1 to 6 dimensions, so it may be singular; silent: some of them may be zero."""
    m, d = draw(st.integers(*tasks)), draw(st.integers(1, 6))
    numbers = st.floats(-3, 3, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
    g = np.array(draw(st.lists(st.lists(numbers, min_size=d, max_size=d), min_size=m, max_size=m)))
    if not silent:
        g[:, 0] += np.where(np.abs(g).sum(1) == 0, 1.0, 0.0)
    return g @ g.T
