"""What the ranks of a torchrun launch do. Started by test_distributed.py.

torchrun -m tests.train.across_ranks FOLDER SCENARIO. Rank 0's files are the result; rank 1 writes what it ended in beside them.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Loss
from headrace.contracts.training import TrainConfig
from headrace.train.signals import Interrupted
from headrace.train.trainer import train
from tests.train.small import Passing, Rows, Squared, learned, model_of, weights

RANK = int(os.environ.get("RANK", 0))
KILLED_BEFORE = 17


class SquaredOfSome(Squared):
    """Counts the rows with x_0 > 0 alone: other numbers on each rank, none on some."""

    def counts(self, batch):
        return {self.name: float((batch["x"][:, 0] > 0).sum())}

    def __call__(self, model, batch, services):
        kept = batch["x"][:, 0] > 0
        error = (model(batch["x"]).squeeze(-1) - batch["y"]).square()
        return {self.name: Loss((error * kept).sum() / kept.sum().clamp(min=1), self.counts(batch)[self.name])}


class CrossesRows(Squared):
    crosses_rows = True


class NotASum:
    accumulates = False

    def backward(self, losses, shared, reevaluate):
        raise AssertionError("refused before it is asked")


def whole_batches(accumulate):
    """In float64 and without dropout, where ranks must not show: (weights, curve)."""
    model = model_of(dropout=0.0).double()
    model.frozen = nn.Parameter(torch.ones(2, dtype=torch.float64), requires_grad=False)
    model.unused = nn.Parameter(torch.ones(2, dtype=torch.float64))  # weight decay must not touch what gets no gradient
    rows = Rows()
    rows.x, rows.y = rows.x.double(), rows.y.double()
    objectives = [Squared(name="all"), SquaredOfSome(name="some")]
    config = TrainConfig(epochs=4, learning_rate=0.05, weight_decay=0.1, accumulate=accumulate, device="cpu")
    result = train(learned(model, rows, objectives, weights={"some": 3.0}), config, seed=0)
    return weights(model), result.curve


def drawing(path, **rows):
    """With dropout, noise and early stopping, from a checkpoint: the module and the result."""
    model = model_of()
    config = TrainConfig(epochs=30, patience=2, learning_rate=0.05, device="cpu", checkpoint_every_steps=3)
    validate = Passing(model) if RANK == 0 else lambda: 1 / 0  # nobody but rank 0 may be asked
    result = train(learned(model, Rows(**rows), [SquaredOfSome()]), config, seed=7, validate=validate, checkpoint_path=path)
    return model, result


def keep(folder, name, module, result):
    weights(module).numpy().tofile(folder / f"{name}-{RANK}.bin")
    (folder / f"{name}-{RANK}.txt").write_text(f"{result.steps} {result.epochs} {result.best_value!r} {result.curve}")


def whole(folder):
    found = {}
    for accumulate in (1, 2):
        ended, curve = whole_batches(accumulate)
        found[str(accumulate)] = {"weights": ended.tolist(), "curve": curve}
    refused = []
    for how in ({"objectives": [CrossesRows()]}, {}):
        try:
            train(learned(**how), TrainConfig(device="cpu"), seed=0, balancer=None if how else NotASum())
        except ConfigError as error:
            refused.append(str(error))
    threads = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    (folder / f"whole-{RANK}.json").write_text(json.dumps({"accumulate": found, "refused": refused, "threads": threads}))
    keep(folder, "straight", *drawing(folder / "straight.safetensors"))
    asked = (lambda: os.kill(os.getpid(), signal.SIGTERM)) if RANK == 1 else (lambda: None)
    path = folder / "asked.safetensors"
    try:
        drawing(path, stop_at=KILLED_BEFORE, stop=asked)
    except Interrupted as error:
        (folder / f"asked-{RANK}.message").write_text(str(error))
    keep(folder, "asked", *drawing(path))


def killed(folder):
    die = (lambda: os.kill(os.getpid(), signal.SIGKILL)) if RANK == 1 else (lambda: None)
    drawing(folder / "killed.safetensors", stop_at=KILLED_BEFORE, stop=die)


def resumed(folder):
    keep(folder, "killed", *drawing(folder / "killed.safetensors"))


if __name__ == "__main__":
    {"whole": whole, "killed": killed, "resumed": resumed}[sys.argv[2]](Path(sys.argv[1]))
