"""One model over eight processes is the model of one: tensor x pipeline x data parallel, and what a pipeline's stages wait.

A decoder of 4 layers is trained for 20 steps by one process and by two, four and eight, cut in each way and in all of them at
once. Beside that, a pipeline of two stages runs steps of 2, 4 and 8 micro-batches, and a batch that grows is compared with one
that is large from the start, on the same rows.

| arm | processes |
|---|---|
| one | one, the fixed batch: what all others are compared with |
| tensor, pipeline, data | two: heads and columns, layers, or rows |
| tensor_pipeline | four |
| all | eight: 2 x 2 x 2 |
| ramp | eight, and the batch grows over the first steps; compared with one process whose batch grows so |

loss_gap and weight_gap, in millionths: the largest difference in any step's loss, and in any weight after the last, to one
process. The biases of keys stand by themselves, as key_bias_gap: a bias that all keys have moves no softmax, so its gradient is
rounding alone, which Adam divides by its own size. idle_m: how far the share of a step in which stages wait is from
(p - 1) / (m + p - 1), 0 without a pipeline: chunks take the processor time they took, replayed on a clock of their own, for eight
processes share two cores here. tokens: read until the held-out loss is what the fixed batch has after `early` steps.
Paper: MT-NLG (arXiv 2201.11990). Nothing here is about scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt

from headrace.contracts.batch import Batch
from headrace.contracts.config import as_dict, config, parse
from headrace.contracts.requests import Int64
from headrace.contracts.seams import Learned, Services
from headrace.contracts.training import ParallelConfig, TrainConfig
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.nn.state import arrays_of
from headrace.objectives.tokens import PredictedTokens
from headrace.recipes.cells import Figures, Simulated
from headrace.recipes.claims import Claim
from headrace.recipes.lr_law import LawConfig, language
from headrace.recipes.protocol import Budget
from headrace.train.parallel.pipeline import Span, noted, replayed
from headrace.train.parallel.plan import bubble
from headrace.train.parallel.processes import together
from headrace.train.trainer import train

_MAIN = "20 steps"
_PUBLISHED = "tensor 8 x pipeline 35 x data 8 to 12 trained 530 billion parameters; bubble (p - 1) / (m + p - 1)"
_IDLE = (2, 4, 8)
CLAIM = Claim(
    says="With tensor, pipeline and data parallel together, each of 20 losses is one process's to 1e-5.",
    published=_PUBLISHED, metric="loss_gap", better="all", than="one", protocol=_MAIN, margin=10.0, form="not worse", less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="After 20 steps no weight but keys' biases is further than 1e-4 from one process's.",
        published=_PUBLISHED, metric="weight_gap", better="all", than="one", protocol=_MAIN, margin=100.0, form="not worse",
        less=True,
    ),
    *(
        Claim(
            says=f"Two stages with {m} micro-batches are idle within 15 points of (p - 1) / (m + p - 1).",
            published=_PUBLISHED, metric=f"idle_{m}", better="pipeline", than="one", protocol=_MAIN, margin=0.15,
            form="not worse", less=True,
        )
        for m in _IDLE
    ),
    Claim(
        says="A batch that grows reaches the fixed batch's early loss with fewer tokens.",
        published="the batch grew from 32 to 1,920 rows over the first 12 of 270 billion tokens", metric="tokens", better="ramp",
        than="one", protocol=_MAIN, less=True,
    ),
)  # fmt: skip
ARMS: Mapping[str, Mapping[str, Any]] = {
    "one": {"tensor": 1, "pipeline": 1, "data": 1, "ramp": False},
    "tensor": {"tensor": 2, "pipeline": 1, "data": 1, "ramp": False},
    "pipeline": {"tensor": 1, "pipeline": 2, "data": 1, "ramp": False},
    "data": {"tensor": 1, "pipeline": 1, "data": 2, "ramp": False},
    "tensor_pipeline": {"tensor": 2, "pipeline": 2, "data": 1, "ramp": False},
    "all": {"tensor": 2, "pipeline": 2, "data": 2, "ramp": False},
    "ramp": {"tensor": 2, "pipeline": 2, "data": 2, "ramp": True},
}


@config
class ParallelRunConfig:
    """rows of a micro-batch, micro-batches a step. early: steps of the fixed batch whose loss is to be reached."""

    dim: Annotated[int, Gt(0)] = 64
    layers: Annotated[int, Gt(0)] = 4
    heads: Annotated[int, Gt(0)] = 4
    words: Annotated[int, Gt(1)] = 1_000
    idle_words: Annotated[int, Gt(1)] = 112
    """So few that the output layer is 7% of a stage's work, as of the published shape's: the formula is for equal stages."""
    length: Annotated[int, Gt(1)] = 64
    rows: Annotated[int, Gt(0)] = 4
    micro: Annotated[int, Gt(1)] = 8
    steps: Annotated[int, Gt(0)] = 20
    early: Annotated[int, Gt(0)] = 5
    ramp_steps: Annotated[int, Gt(0)] = 40
    rate: Annotated[float, Gt(0)] = 3e-3
    held_out: Annotated[int, Gt(0)] = 256
    repeats: Annotated[int, Gt(0)] = 5


_SMOKE = ParallelRunConfig(
    dim=16, layers=2, words=24, idle_words=24, length=16, rows=2, micro=4, steps=4, early=2, ramp_steps=8, held_out=64, repeats=1
)

_FEW = {
    "one": ARMS["one"],
    "pipeline": ARMS["pipeline"],
    "all": ARMS["tensor_pipeline"],
    "ramp": {**ARMS["pipeline"], "ramp": True},
}


def work(budget: Budget) -> Simulated:
    chosen = {"smoke": _SMOKE, "cpu": ParallelRunConfig(), "full": ParallelRunConfig(dim=256, layers=8, steps=100)}[budget]
    return Simulated(
        data="a made-up language",
        arms=_FEW if budget == "smoke" else ARMS,
        settings={_MAIN: as_dict(chosen)},
        described={_MAIN: f"{chosen.steps} steps of {chosen.micro} x {chosen.rows} rows of {chosen.length} tokens"},
        seeds=1 if budget == "smoke" else 3,
        metrics=("loss_gap", "weight_gap", "key_bias_gap", *(f"idle_{m}" for m in _IDLE), "tokens"),
        run=run,
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    settings = parse(ParallelRunConfig, setting, where="mt_nlg")
    layout, ramp = ParallelConfig(tensor=arm["tensor"], pipeline=arm["pipeline"]), bool(arm["ramp"])
    processes = arm["tensor"] * arm["pipeline"] * arm["data"]
    (losses, weights), idle = alone(settings, seed, ramp), dict.fromkeys(_IDLE, 0.0)
    loss_gap, weight_gap, key_bias_gap = 0.0, 0.0, 0.0
    if processes > 1:
        found = together(both, processes, settings, layout, seed, ramp)
        (mine, its_weights), _ = found[0]
        loss_gap = max(abs(one - other) for one, other in zip(mine, losses, strict=True))
        weight_gap, key_bias_gap = gaps(its_weights, weights, settings.dim)
        for m in _IDLE if layout.pipeline > 1 else ():
            idle[m] = abs(idle_share([steps[m] for _, steps in found], layout) - bubble(layout.pipeline, m))
    figures = {"loss_gap": 1e6 * loss_gap, "weight_gap": 1e6 * weight_gap, "key_bias_gap": 1e6 * key_bias_gap}
    figures |= {f"idle_{m}": gap for m, gap in idle.items()} | {"tokens": tokens_until(settings, seed, ramp)}
    return {name: np.array([value]) for name, value in figures.items()}


def both(
    settings: ParallelRunConfig, layout: ParallelConfig, seed: int, ramp: bool
) -> tuple[tuple[list[float], dict[str, Any]], dict[int, list[list[Span]]]]:
    """What a process of a layout does: the run, then steps of so many micro-batches whose chunks are timed."""
    found = trained(settings, layout, seed, ramp)
    return found, {m: chunks(settings, layout, seed, m) for m in (_IDLE if layout.pipeline > 1 else ())}


@lru_cache(maxsize=8)
def alone(settings: ParallelRunConfig, seed: int, ramp: bool) -> tuple[list[float], dict[str, Any]]:
    return trained(settings, ParallelConfig(), seed, ramp)


def trained(settings: ParallelRunConfig, layout: ParallelConfig, seed: int, ramp: bool) -> tuple[list[float], dict[str, Any]]:
    """Each step's loss, and the weights after the last. Every process of a layout calls this alike."""
    body = made(settings, settings.words, seed)
    batches = Fresh(said(settings, settings.words, settings.steps * settings.micro * settings.rows, seed), settings)
    asked = train_config(settings, layout, ramp, epochs=settings.steps)
    curve = train(Learned(body, [PredictedTokens()], batches), asked, seed=seed).curve
    return [entry["next_token"] for entry in curve], {name: array.copy() for name, array in arrays_of(body).items()}


def gaps(mine: Mapping[str, Any], its: Mapping[str, Any], dim: int) -> tuple[float, float]:
    """The largest difference of any weight but keys' biases, and of these."""
    each = {name: np.abs(mine[name] - array) for name, array in its.items()}
    biases = [each[name] for name in each if name.endswith("qkv.ways.0.bias")]
    keys = max(float(one[dim : 2 * dim].max()) for one in biases)
    for one in biases:
        one[dim : 2 * dim] = 0
    return max(float(one.max()) for one in each.values()), keys


def chunks(settings: ParallelRunConfig, layout: ParallelConfig, seed: int, micro: int) -> list[list[Span]]:
    """The chunks of this process's stage, of each step."""
    body = made(settings, settings.idle_words, seed)
    many = replace(settings, micro=micro)
    rows = (settings.repeats + 1) * micro * settings.rows
    batches = Fresh(said(settings, settings.idle_words, rows, seed), many)
    with noted() as notes:
        asked = train_config(many, layout, ramp=False, epochs=settings.repeats + 1)
        train(Learned(body, [PredictedTokens()], batches), asked, seed=seed)
    return notes


def idle_share(steps: Sequence[Sequence[Sequence[Span]]], layout: ParallelConfig) -> float:
    """steps: of every process, in the order of ranks. The first replica's first tensor ranks; the first step warms up."""
    stages = [steps[stage * layout.tensor] for stage in range(layout.pipeline)]
    return median(replayed(one) for one in list(zip(*stages, strict=True))[1:])


def tokens_until(settings: ParallelRunConfig, seed: int, ramp: bool) -> float:
    """Read by one process until the held-out loss is that of the fixed batch after its early steps."""
    target, own = held_out(settings, seed, ramp=False)[settings.early - 1], held_out(settings, seed, ramp)
    reached = next(number for number, loss in enumerate(own, 1) if loss <= target)
    return float(reached * settings.micro * settings.rows * settings.length)


@lru_cache(maxsize=8)
def held_out(settings: ParallelRunConfig, seed: int, ramp: bool) -> list[float]:
    """The held-out loss whenever as many tokens were read as the fixed batch's step has."""
    body, objective = made(settings, settings.words, seed), PredictedTokens()
    epochs = 2 * settings.early
    batches = Fresh(said(settings, settings.words, epochs * settings.micro * settings.rows, seed), settings)
    unseen = as_batch(said(settings, settings.words, settings.held_out, seed, "held out"))
    losses: list[float] = []

    def validate() -> float:
        found = objective(body, unseen, Services({}, torch.Generator()))
        losses.append(float(found["next_token"].mean))
        return -losses[-1]

    asked = train_config(settings, ParallelConfig(), ramp, epochs=epochs)
    train(Learned(body, [objective], batches), asked, seed=seed, validate=validate)
    return losses


def train_config(settings: ParallelRunConfig, layout: ParallelConfig, ramp: bool, *, epochs: int) -> TrainConfig:
    """An epoch is one step of the fixed batch."""
    return TrainConfig(
        epochs=epochs, patience=epochs, learning_rate=settings.rate, weight_decay=0.1, beta2=0.95, accumulate=settings.micro,
        ramp_steps=settings.ramp_steps if ramp else 0, parallel=layout, device="cpu", precision="float32",
    )  # fmt: skip


def made(settings: ParallelRunConfig, words: int, seed: int) -> Transformer:
    of = TransformerConfig(
        dim=settings.dim, decoder_layers=settings.layers, heads=settings.heads, vocabulary=words, length=settings.length,
        position="learned",
    )  # fmt: skip
    with seeded(seed, "mt_nlg"):
        return Transformer(of, "decoder")


def said(settings: ParallelRunConfig, words: int, rows: int, seed: int, name: str = "training") -> Int64:
    """[rows, length + 1] of words from 0 on."""
    return language(LawConfig(words=words, length=settings.length), rows, seed, name) - 1


def as_batch(rows: Int64) -> Batch:
    ids = torch.from_numpy(rows)
    return {"ids": ids[:, :-1], "targets": ids[:, 1:]}


class Fresh:
    """Epochs of so many micro-batches, every row read once. Implements `Batches`."""

    def __init__(self, rows: Int64, settings: ParallelRunConfig):
        self.rows, self.settings = rows, settings

    def epoch(self, epoch: int) -> Sequence[Batch]:
        each = self.settings.micro * self.settings.rows
        own = self.rows[epoch * each : (epoch + 1) * each]
        return [as_batch(own[start : start + self.settings.rows]) for start in range(0, len(own), self.settings.rows)]
