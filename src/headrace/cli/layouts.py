"""What `headrace plan` shows: the layout of a large model on so many GPUs, what it costs, and why others were not taken."""

from dataclasses import dataclass
from typing import get_args

from rich.console import Console
from rich.table import Table

from headrace.cli.drawing import page
from headrace.contracts.errors import ConfigError, nearest
from headrace.train.parallel.layouts import Found, Option, Recompute, demanded, shape_of
from headrace.train.parallel.plan import Machine, Shape, model_flop

PUBLISHED = {2_240: (60.1, 126), 2_800: (50.2, 121), 3_360: (44.4, 113)}
"""MT-NLG's, by GPUs: seconds a step of 1,920 rows and TFLOP/s a GPU. All of them 8 x 35 x the rest."""
WAYS: tuple[Recompute, ...] = get_args(Recompute)
_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of the verb."""

    parameters: float
    gpus: int
    layers: int | None
    dim: int | None
    heads: int | None
    vocabulary: int
    length: int
    batch: int
    micro: int
    recompute: str
    memory_gb: float
    memory_share: float
    node_gpus: int
    tflops: float


def show_plan(asked: Asked) -> None:
    if asked.recompute not in WAYS:
        raise ConfigError(f'--recompute: "{asked.recompute}" is none.{nearest(asked.recompute, WAYS)} One of: {", ".join(WAYS)}.')
    if not 1e6 <= asked.parameters <= 1e15:
        raise ConfigError(f"--params is {asked.parameters:g}: give the number of parameters, such as 530e9; from 1e6 to 1e15.")
    shape = shape_of(
        asked.parameters, layers=asked.layers, dim=asked.dim, heads=asked.heads, vocabulary=asked.vocabulary, length=asked.length
    )
    machine = Machine(
        node_gpus=asked.node_gpus, memory_gb=asked.memory_gb, share=asked.memory_share, tflops=asked.tflops
    )  # fmt: skip
    way = next(one for one in WAYS if one == asked.recompute)
    found = demanded(shape, asked.gpus, rows=asked.batch, micro=asked.micro, recompute=way, machine=machine)
    assert found.best is not None
    console = page()
    inferred = [name for name in ("layers", "dim", "heads") if getattr(asked, name) is None]
    console.print(
        f"{shape.parameters / 1e9:,.4g} billion parameters: {shape.layers} layers, {shape.dim:,} wide, {shape.heads} heads, "
        f"vocabulary {shape.vocabulary:,}, rows of {shape.length:,} tokens"
        + (f" ({', '.join(inferred)} by MT-NLG's proportions: 195 times as wide as deep)" if inferred else "")
    )
    console.print(
        f"{asked.gpus:,} GPUs of {machine.memory_gb:g} GB, {machine.node_gpus} a node; {machine.share:.0%} of the memory may be "
        f"planned, {machine.memory_gb * machine.share:g} GB\n"
    )
    _best(console, shape, found.best, machine)
    _others(console, found, machine)


def _best(console: Console, shape: Shape, best: Option, machine: Machine) -> None:
    layout, batch, m = best.layout, best.batch, best.batch.micro_batches(best.layout)
    gpus, replica = layout.gpus, layout.tensor * layout.pipeline
    rate = model_flop(shape, batch) / gpus / best.time.seconds / 1e12
    again = "layers are recomputed in the backward" if batch.recompute else "nothing is recomputed"
    console.print(f"[bold]tensor {layout.tensor} x pipeline {layout.pipeline} x data {layout.data}[/], {again}")
    console.print(
        f"  a replica      {replica:,} GPUs, {shape.layers // layout.pipeline} layers a stage, "
        f"{m:,} micro-batches of {batch.micro} row{'s' if batch.micro > 1 else ''} a step of {batch.rows:,}"
    )
    console.print(f"  bubble         {best.bubble:.1%} of a step, (p - 1) / (m + p - 1)")
    console.print(
        f"  a step         {best.time.seconds:.1f} s estimated, {rate:.0f} TFLOP/s a GPU: {best.time.slots:,} slots of "
        f"{best.time.slot:.3f} s at {machine.tflops:g} TFLOP/s while computing, "
        f"{best.time.talk / best.time.slot:.0%} of them on links, then {best.time.gradients:.2f} s for the sum of gradients"
    )
    if _as_published(shape, best) and gpus in PUBLISHED:
        seconds, tflops = PUBLISHED[gpus]
        console.print(f"  published      {seconds} s, {tflops} TFLOP/s a GPU (MT-NLG on {gpus // 8} nodes of 8)")
    console.print(f"\nmemory of a GPU of stage {best.stage}, which needs most")
    for name, size in best.parts.items():
        if size:
            console.print(f"  {name:<15}{size / 1e9:6.1f} GB")
    console.print(f"  {'together':<15}{best.memory_gb:6.1f} GB\n")


def _others(console: Console, found: Found, machine: Machine) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("other layouts", "recomputed", "bubble", "memory", "step", ""):
        table.add_column(name, justify="left" if name in ("other layouts", "recomputed", "") else "right")
    others = [one for one in found.options if one is not found.best]
    fitting = [one for one in others if one.fits][: _SHOWN // 2]
    for one in (*fitting, *[one for one in others if not one.fits][: _SHOWN - len(fitting)]):
        why = "slower" if one.fits else f"more than {machine.memory_gb * machine.share:g} GB"
        table.add_row(
            str(one.layout), "yes" if one.batch.recompute else "no", f"{one.bubble:.1%}", f"{one.memory_gb:.1f} GB",
            f"{one.time.seconds:.1f} s", why,
        )  # fmt: skip
    if others:
        console.print(table)
    for reason, count in found.refused.items():
        console.print(f"{count:,} more not possible: {reason}")


def _as_published(shape: Shape, best: Option) -> bool:
    return (shape.layers, shape.dim, shape.heads, shape.vocabulary, shape.length, best.batch.rows) == (
        105, 20_480, 128, 50_272, 2_048, 1_920,
    )  # fmt: skip
