"""What the ranks of a torchrun launch do with weights in shards. Started by test_sharded.py.

torchrun -m tests.train.across_shards FOLDER. Each rank writes what it found; FOLDER/alone.safetensors is of one process.
"""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from headrace.contracts.errors import HeadraceError
from headrace.contracts.seams import Loss, Stream
from headrace.contracts.training import TrainConfig
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.optim.state import state_bytes
from headrace.train.signals import Interrupted
from headrace.train.trainer import train
from tests.train.across_ranks import SquaredOfSome, keep
from tests.train.small import Rows, Squared, Stopped, learned, model_of, stopped, weights

RANK = int(os.environ.get("RANK", 0))
STOP_AT = 8
ANEW = 0
"""Stops a run that begins with the first batch of all, as one that goes on does not."""
CONFIG = TrainConfig(
    epochs=4,
    learning_rate=0.05,
    weight_decay=0.1,
    clip_norm=0.3,
    accumulate=2,
    ema_decay=0.8,
    checkpoint_every_steps=1,
    device="cpu",
)


class Part(nn.Module):
    """An expert, for the rows whose first number is large: on some steps for a few, on others for none."""

    def __init__(self):
        super().__init__()
        self.inside, self.expert = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x, chosen):
        x = x + self.inside(x).tanh()
        return x.index_add(0, chosen, self.expert(x[chosen])) if len(chosen) else x


class Deep(nn.Module):
    """Parts, and around them weights of all kinds: uneven, without an axis, frozen, unused. A method that is no forward."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 1)
        self.parts = nn.ModuleList(Part() for _ in range(2))
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.unused = nn.Parameter(torch.ones(3))

    def sharded_parts(self):
        return list(self.parts)

    def forward(self, x):
        chosen, x = (x[:, 0] > 0.8).nonzero().view(-1), self.first(x)
        for part in self.parts:
            x = part(x, chosen)
        return self.last(x) * self.scale

    def otherwise(self, x):
        return self(x) + self.first(x).mean(1, keepdim=True)


class Otherwise(Squared):
    """Another loss by the method, pulled towards the average; notes what this rank holds."""

    def __init__(self):
        super().__init__(name="otherwise")
        self.bytes = []

    def __call__(self, model, batch, services):
        error = model.otherwise(batch["x"]).squeeze(-1) - batch["y"]
        with torch.no_grad():
            target = services.ema.otherwise(batch["x"]).squeeze(-1) - batch["y"]
        return {self.name: Loss((error - 0.1 * target).square().mean(), float(len(error)))}


def deep_rows(sizes=(3, 1, 4, 2, 2), **more):
    rows = Rows(sizes, **more)
    rows.x, rows.y = rows.x.double(), rows.y.double()
    return rows


def deep(path=None, stop_at=None, config=CONFIG, objectives=None, optimizer=None, **more):
    """In float64, where ranks and shards must not show."""
    with seeded(0, "deep"):
        model = Deep().double()
    made = learned(
        model, deep_rows(stop_at=stop_at), objectives or [Squared(name="all"), SquaredOfSome(name="some")],
        streams=[Stream("own", [Otherwise()], deep_rows((2, 1, 3)))], weights={"some": 3.0}, made_of={"code": "1"},
    )  # fmt: skip
    # hangs on whole weights, and rises and falls
    validate = (lambda: -abs(float(weights(model).norm()) - 4.2)) if RANK == 0 else lambda: 1 / 0
    return model, train(made, config, seed=0, validate=validate, checkpoint_path=path, optimizer=optimizer, **more)


def held():
    """Bytes of weights and optimizer state while it trains: of this rank, and of the module that was given."""
    sizes = []

    class Wide(nn.Sequential):
        def sharded_parts(self):
            return list(self)

    module = Wide(*(nn.Linear(64, 64) for _ in range(4)))

    class Sees(Squared):
        def __call__(self, model, batch, services):
            sizes.append([nbytes(sharded_weights(model)), state_bytes(made[-1]), nbytes(module.parameters())])
            return super().__call__(lambda x: model(x.repeat(1, 16))[:, :1], batch, services)

    def sharded_weights(model):
        return list(made[-1].param_groups[0]["params"])

    def optimizer(module):
        made.append(torch.optim.AdamW(module.parameters()))
        return made[-1]

    made = []
    for shard in (False, True):
        sizes.clear()
        train(learned(module, Rows((4, 4)), [Sees()]), replace(CONFIG, shard=shard, ema_decay=0), seed=0, optimizer=optimizer)
        yield sizes[-1]


def nbytes(tensors):
    return sum((one.to_local() if isinstance(one, DTensor) else one).nbytes for one in tensors)


class Cliff(Squared):
    calls = 0

    def __call__(self, model, batch, services):
        loss = super().__call__(model, batch, services)[self.name]
        Cliff.calls += 1
        return {self.name: Loss(loss.mean * (float("nan") if Cliff.calls > 5 and RANK == 1 else 1.0), loss.count)}


def not_finite(path):
    Cliff.calls = 0
    with seeded(0, "deep"):
        model = Deep()
    try:
        train(
            learned(model, Rows(), [Cliff()]), replace(CONFIG, shard=True, accumulate=1), seed=0, name="lm", checkpoint_path=path
        )
    except HeadraceError as error:
        return str(error), bool(weights(model).isfinite().all()), weights(model).numel()


class Next:
    def counts(self, batch):
        return {"next": float(batch["ids"][:, 1:].numel())}

    def __call__(self, model, batch, services):
        logits = model.logits(model(Inputs(ids=batch["ids"])).last[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch["ids"][:, 1:].flatten())
        return {"next": Loss(loss, float(batch["ids"][:, 1:].numel()))}


class Tokens:
    def epoch(self, epoch):
        ids = torch.randint(11, (3, 5, 6), generator=torch.Generator().manual_seed(epoch))
        return [{"ids": batch} for batch in ids]


def body(**asked):
    """A Transformer whose blocks are cut, and run again in the backward."""
    of = TransformerConfig(dim=8, decoder_layers=3, heads=2, vocabulary=11, position="t5")
    with seeded(0, "body"):
        model = Transformer(of, "decoder").double()
    train(learned(model, Tokens(), [Next()]), replace(CONFIG, ema_decay=0, **asked), seed=0)
    return weights(model)


def drawing(path, stop_at=None, stop=None):
    """With dropout and noise, in float32: what is taken up again must be the same to the bit."""
    model = model_of()
    made = learned(model, Rows(stop_at=stop_at, stop=stop), [Squared(noise=0.1)])
    return model, train(made, replace(CONFIG, shard=True, epochs=5, keep_ema=True), seed=7, checkpoint_path=path)


def main(folder):
    sharded = replace(CONFIG, shard=True)
    found: dict[str, Any] = {}
    for name, config in (("ranks", CONFIG), ("shards", sharded), ("average", replace(sharded, keep_ema=True))):
        model, result = deep(config=config)
        found[name] = {"weights": weights(model).tolist(), "curve": result.curve, "best": [result.epochs, result.best_value]}
    for name, first, then in (("shards", sharded, None), ("ranks", CONFIG, sharded)):
        path = folder / f"{name}.safetensors"
        try:
            deep(path, STOP_AT, first)
        except Stopped:
            if RANK == 0:
                shutil.copy(path, folder / f"{name}-stopped.safetensors")
        model, result = deep(path, ANEW, then or sharded)
        found[f"{name} taken up"] = {"weights": weights(model).tolist(), "curve": result.curve}
    alone = folder / f"alone-{RANK}.safetensors"
    shutil.copy(folder / "alone.safetensors", alone)
    model, result = deep(alone, ANEW, sharded)
    found["alone taken up"] = {"weights": weights(model).tolist(), "curve": result.curve}
    found["body"] = {
        "plain": body().tolist(),
        "cut": body(shard=True).tolist(),
        "again": body(shard=True, recompute=True).tolist(),
    }
    found["held"], found["not finite"] = list(held()), not_finite(folder / "nan.safetensors")
    asked = (lambda: os.kill(os.getpid(), signal.SIGTERM)) if RANK == 1 else (lambda: None)
    keep(folder, "straight", *drawing(folder / "straight.safetensors"))
    try:
        drawing(folder / "asked.safetensors", STOP_AT, asked)
    except Interrupted as error:
        found["asked"] = str(error)
    keep(folder, "asked", *drawing(folder / "asked.safetensors", ANEW, stopped))
    found["threads"] = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    (folder / f"found-{RANK}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
