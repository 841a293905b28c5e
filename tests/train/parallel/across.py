"""What processes of a layout do; started by the tests beside it with `together`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, Services
from headrace.contracts.training import ParallelConfig, TrainConfig
from headrace.nn.body.config import RoutingConfig, TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.parallel.place import Place
from headrace.nn.seeded import seeded
from headrace.nn.state import arrays_of
from headrace.objectives.tokens import PredictedTokens
from headrace.optim.makers import AdamW, AdamWConfig
from headrace.train.parallel.measure import Saved, held
from headrace.train.parallel.pipeline import noted
from headrace.train.trainer import train

WORDS, LENGTH, ROWS, MICRO = 37, 8, 2, 2
BODIES = {
    "sub": {"norm_place": "sub", "init": "magneto", "activation": "swiglu", "norm": "rms", "kv_heads": 2, "tie": False},
    "post": {"norm_place": "post", "position": "t5", "bias": "feed_forward", "window": 6},
}


class Stop(Exception):
    pass


class Words:
    """Epochs of two steps of rows that are drawn from (epoch, index)."""

    def __init__(self, stop_at=None, micro=2 * MICRO, rows=ROWS):
        self.stop_at, self.micro, self.rows = stop_at, micro, rows

    def epoch(self, epoch):
        ids = torch.from_numpy(rng(0, "words", epoch).integers(0, WORDS, (self.micro * self.rows, LENGTH + 1)))
        source = self

        class Epoch(list[Any]):
            def __getitem__(self, index):
                if source.stop_at is not None and source.stop_at == epoch * source.micro + index:
                    raise Stop
                return super().__getitem__(index)

        return Epoch({"ids": part[:, :-1], "targets": part[:, 1:]} for part in ids.split(self.rows))


def body_of(body="plain", dtype=torch.float64, **more):
    switches = {"dim": 16, "position": "learned", **BODIES.get(body, {}), **more}
    of = TransformerConfig(decoder_layers=4, heads=4, vocabulary=WORDS, length=LENGTH, **switches)
    with seeded(0, "body"):
        return Transformer(of, "decoder").to(dtype)


def run(parallel, body="plain", epochs=10, stop_at=None, path=None, validate=False, micro=MICRO, **more):
    """(each epoch's losses, weights after the last), float64."""
    module = body_of(body)
    config = TrainConfig(
        epochs=epochs,
        learning_rate=3e-3,
        weight_decay=0.1,
        accumulate=micro,
        clip_norm=0.5,
        parallel=parallel,
        device="cpu",
        **more,
    )
    learned = Learned(module, [PredictedTokens()], Words(stop_at))
    rising = (lambda: -float(arrays_of(module)["embedding.tokens.weight"].std())) if validate else None
    result = train(learned, config, seed=0, checkpoint_path=path, validate=rising)
    return [entry["next_token"] for entry in result.curve], {name: array.copy() for name, array in arrays_of(module).items()}


def many(parallel):
    """Bodies of other kinds, a ramp, recomputation, a validation, in one go; few steps each."""
    found = {name: run(parallel, name, epochs=1) for name in BODIES}
    growing = {"micro": 4, "ramp_steps": 4, "schedule": "linear", "warmup_steps": 2}
    found["plain"] = run(parallel, epochs=2, recompute=True, validate=True, patience=2, **growing)
    return found


def broken(parallel, folder, name):
    """An unbroken run, and one that is broken off in the middle of its second epoch."""
    whole = run(parallel, epochs=3, path=Path(folder) / f"{name}-whole")
    try:
        run(parallel, epochs=3, path=Path(folder) / name, stop_at=3 * MICRO + 1, checkpoint_every_steps=1)
    except Stop:
        return whole
    raise AssertionError


def resumed(parallel, folder, name):
    """It stops at the first batch of all: whoever begins anew, in place of going on, ends there."""
    return run(parallel, epochs=3, path=Path(folder) / name, stop_at=0, checkpoint_every_steps=1)


def drawn():
    """Dropout between two tensor ranks: gradients of what is whole are the same bits; heads draw apart."""
    rank = distributed.get_rank()
    body = body_of("plain", torch.float32, dropout=0.3)
    cut = body.cut(Place(rank, 2, 0, 1, distributed.group.WORLD))
    batch = Words().epoch(0)[0]
    torch.default_generator.manual_seed(5)
    mean = PredictedTokens()(body, batch, Services({}, torch.Generator()))["next_token"].mean
    torch.autograd.backward(mean)
    return {name: one.grad.numpy() for name, one in body.named_parameters() if name not in cut.pieces}, float(mean.detach())


def whole_logits():
    """Of a body with experts and branches: logits and losses as one process has them."""
    rank = distributed.get_rank()
    found = []
    for more in ({"routing": RoutingConfig(experts=4)}, {"branches": 2}, {"tie": False}):
        whole, body = body_of(**more).eval(), body_of(**more).eval()
        body.cut(Place(rank, 2, 0, 1, distributed.group.WORLD))
        batch, objective = Words().epoch(0)[0], PredictedTokens()
        inputs = objective.inputs(batch)
        if "branches" in more:
            import dataclasses

            inputs = dataclasses.replace(inputs, branch=batch["ids"] % 2)
        with torch.no_grad():
            found.append(float((whole.logits(whole.states(inputs)) - body.logits(body.states(inputs))).abs().max()))
    return found


def measured(parallel, micro):
    """Bytes held by this process, its chunks of each step, and what its part counts; float32."""
    module = body_of("plain", torch.float32, dim=64)
    saved, kept = Saved(), {}

    def optimizer(part):
        saved.leave_out(part.parameters())
        kept["part"], kept["optimizer"] = part, AdamW(AdamWConfig())(part, config, seed=0)
        return kept["optimizer"]

    config = TrainConfig(epochs=4, accumulate=micro, parallel=parallel, device="cpu", precision="float32")
    learned = Learned(module, [PredictedTokens()], Words(micro=micro, rows=16))
    with saved, noted() as steps:
        train(learned, config, seed=0, optimizer=optimizer)
    return held(kept["part"], kept["optimizer"], saved), steps


if __name__ == "__main__":  # under torchrun: two trainings of one launch, and the threads that are left
    losses = [run(ParallelConfig(pipeline=2), epochs=2)[0], run(ParallelConfig(tensor=2), epochs=2)[0]]
    threads = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    Path(sys.argv[1], f"{os.environ['RANK']}.json").write_text(json.dumps({"losses": losses, "threads": threads}))
