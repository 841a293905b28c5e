"""A model small enough to be trained in milliseconds: rows by address, a noisy squared error, dropout."""

import torch
from torch import nn

from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, Loss
from headrace.contracts.training import TrainConfig
from headrace.nn.seeded import seeded

CONFIG = TrainConfig(epochs=3, learning_rate=0.05, weight_decay=0.01, device="cpu")


class Stopped(Exception):
    pass


def stopped():
    raise Stopped


class Rows:
    """Shuffled batches of unequal size; before batch `stop_at` of all, `stop` is called."""

    def __init__(self, sizes=(3, 1, 4, 2, 2), stop_at=None, stop=stopped):
        draw = torch.Generator().manual_seed(0)
        self.x, self.y = torch.randn(sum(sizes), 4, generator=draw), torch.randn(sum(sizes), generator=draw)
        self.sizes, self.stop_at, self.stop = sizes, stop_at, stop

    def epoch(self, epoch):
        rows = torch.from_numpy(rng(0, "rows", epoch).permutation(len(self.x)))
        source = self

        class Epoch:
            def __len__(self):
                return len(source.sizes)

            def __getitem__(self, index):
                if source.stop_at == epoch * len(self) + index:
                    source.stop()
                if index >= len(self):
                    raise IndexError
                part = rows.split(source.sizes)[index]
                return {"x": source.x[part], "y": source.y[part]}

        return Epoch()


class Squared:
    """A squared error, with noise from the step's generator."""

    def __init__(self, noise=0.0, name="squared"):
        self.noise, self.name = noise, name

    def counts(self, batch):
        return {self.name: float(len(batch["y"]))}

    def __call__(self, model, batch, services):
        noise = self.noise * torch.randn(batch["y"].shape, generator=services.generator, dtype=batch["y"].dtype)
        error = (model(batch["x"]).squeeze(-1) - batch["y"] - noise).square()
        return {self.name: Loss(error.mean(), float(len(error)))}


def model_of(dropout=0.5):
    with seeded(0, "model"):
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))


def learned(model=None, batches=None, objectives=None, **more):
    return Learned(model or model_of(), objectives or [Squared(noise=0.1)], batches or Rows(), **more)


def weights(module):
    return torch.cat([tensor.flatten() for tensor in module.state_dict().values()])


class Passing:
    """A validation that rises, then falls, with the weights themselves: early stopping hangs on every bit of them."""

    def __init__(self, module, norm=3.0):
        self.module, self.norm = module, norm

    def __call__(self):
        return -abs(float(weights(self.module).norm()) - self.norm)
