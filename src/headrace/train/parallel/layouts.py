"""Which layout of so many GPUs: every tensor x pipeline x data that is possible, its cost by `plan`, and why others are not.

Possible: tensor ranks stay inside a node and share out the heads evenly; stages have equally many layers; the replicas deal out
the batch evenly. Of those whose memory fits, the one with the shortest estimated step is taken, without recomputation where that
fits and is faster. Where only the number of parameters is known, the shape has MT-NLG's proportions: 195 times as wide as deep.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.contracts.errors import ConfigError
from headrace.train.parallel.plan import GB, Batch, Layout, Machine, Shape, StepTime, bubble, peak, step_time

Recompute = Literal["auto", "always", "never"]
ASPECT = 195
HEAD_WIDTHS = (160, 128, 96, 64)
_EVENLY, _NEAR, _ROUNDED = 8, 0.1, 0.06
_WAYS: dict[Recompute, tuple[bool, ...]] = {"auto": (False, True), "always": (True,), "never": (False,)}


@dataclass(frozen=True)
class Option:
    """stage: the one that needs most memory, `parts` of it in bytes. fits: in what may be planned."""

    layout: Layout
    batch: Batch
    stage: int
    parts: dict[str, float]
    time: StepTime
    bubble: float
    fits: bool

    @property
    def memory_gb(self) -> float:
        return sum(self.parts.values()) / GB


@dataclass(frozen=True)
class Found:
    """options: best first, those that fit before the others. refused: reason -> how many layouts it ruled out."""

    options: Sequence[Option]
    refused: dict[str, int]

    @property
    def best(self) -> Option | None:
        return self.options[0] if self.options and self.options[0].fits else None


def search(shape: Shape, gpus: int, *, rows: int, micro: int, recompute: Recompute, machine: Machine) -> Found:
    """Every layout of exactly `gpus`."""
    options, refused = [], Counter[str]()
    for layout in _products(gpus):
        reason = why_not(shape, layout, rows=rows, micro=micro, machine=machine)
        if reason:
            refused[reason] += 1
            continue
        for again in _WAYS[recompute]:
            batch = Batch(rows, micro, again)
            stage, parts = peak(shape, layout, batch)
            enough = sum(parts.values()) <= machine.memory_gb * GB * machine.share
            share = bubble(layout.pipeline, batch.micro_batches(layout))
            options.append(Option(layout, batch, stage, parts, step_time(shape, layout, batch, machine), share, enough))
    best_first = sorted(options, key=lambda one: (not one.fits, one.time.seconds if one.fits else one.memory_gb))
    return Found(best_first, dict(refused))


def why_not(shape: Shape, layout: Layout, *, rows: int, micro: int, machine: Machine) -> str:
    """The rule that a layout breaks, or nothing."""
    t, p, d = layout.tensor, layout.pipeline, layout.data
    if machine.node_gpus % t:
        return f"tensor ranks would not lie evenly inside nodes of {machine.node_gpus}"
    if shape.heads % t or shape.wide % t:
        return f"{shape.heads} heads can't be shared out evenly by the tensor ranks"
    if shape.layers % p:
        return f"{shape.layers} layers don't make equal stages"
    return f"{rows:,} rows can't be dealt evenly to the replicas in micro-batches of {micro}" if rows % (d * micro) else ""


def demanded(shape: Shape, gpus: int, *, rows: int, micro: int, recompute: Recompute, machine: Machine) -> Found:
    """As `search`; an error where nothing fits, with the nearest number of GPUs that would do."""
    found = search(shape, gpus, rows=rows, micro=micro, recompute=recompute, machine=machine)
    if found.best is not None:
        return found
    planned = f"{machine.memory_gb * machine.share:.1f} GB"
    if found.options:
        least = found.options[0]
        why = f"the least that a layout of {gpus:,} GPUs needs is {least.memory_gb:.1f} GB a GPU ({least.layout}), and "
        why += f"{planned} of {machine.memory_gb:g} GB may be planned"
    else:
        why = f"no layout of {gpus:,} GPUs is possible: " + "; ".join(found.refused)
    numbers = sorted(possible(shape, rows=rows, micro=micro, recompute=recompute, machine=machine))
    enough = next((n for n in numbers if n > gpus), None)
    if enough:
        cure = f"{enough:,} GPUs would do"
    elif numbers:
        cure = f"At most {numbers[-1]:,} GPUs have something to do: raise --batch"
    else:
        cure = "No number of such GPUs would do: raise --batch, or take a smaller model"
    raise ConfigError(f"plan: {why}. {cure}{'' if recompute != 'never' else ', or let layers be recomputed'}.")


def possible(shape: Shape, *, rows: int, micro: int, recompute: Recompute, machine: Machine) -> set[int]:
    """Every number of GPUs, of one machine or of whole ones, that some layout fits."""
    layouts = (
        Layout(tensor, pipeline, data)
        for tensor in divisors(machine.node_gpus)
        for pipeline in divisors(shape.layers)
        for data in divisors(rows)
    )
    return {
        layout.gpus
        for layout in layouts
        if (layout.gpus < machine.node_gpus or layout.gpus % machine.node_gpus == 0)
        and not why_not(shape, layout, rows=rows, micro=micro, machine=machine)
        and any(fits(shape, layout, Batch(rows, micro, again), machine) for again in _WAYS[recompute])
    }


def fits(shape: Shape, layout: Layout, batch: Batch, machine: Machine) -> bool:
    return sum(peak(shape, layout, batch)[1].values()) <= machine.memory_gb * GB * machine.share


def shape_of(
    parameters: float, *, layers: int | None = None, dim: int | None = None, heads: int | None = None, vocabulary: int = 50_272,
    length: int = 2_048,
) -> Shape:  # fmt: skip
    """The shape asked for, or what is left open by the proportions above: 12 L d² parameters in the layers."""
    if dim is None:
        exact = (parameters / (12 * layers)) ** 0.5 if layers else (ASPECT * parameters / 12) ** (1 / 3)
        dim = _evenly(exact)
    if heads is None:
        width = next((one for one in HEAD_WIDTHS if dim % (one * _EVENLY) == 0), None)
        width = width or next((one for one in HEAD_WIDTHS if dim % one == 0), None)
        if width is None:
            raise ConfigError(f"plan: {dim} wide is no multiple of {' or '.join(map(str, HEAD_WIDTHS))}. Give --heads.")
        heads = dim // width
    if dim % heads:
        raise ConfigError(f"plan: {dim} wide can't be shared out by {heads} heads. Give --heads a divisor of --dim.")
    given = Shape(layers=layers or 1, dim=dim, heads=heads, vocabulary=vocabulary, length=length)
    if layers is None:
        each = 12 * dim * dim + 13 * dim
        layers = max(round((parameters - (given.parameters - each)) / each), 1)
        given = Shape(layers=layers, dim=dim, heads=heads, vocabulary=vocabulary, length=length)
    if abs(given.parameters / parameters - 1) > _NEAR:
        raise ConfigError(
            f"plan: --params is {parameters:.4g}, and {given.layers} layers {dim} wide with a vocabulary of {vocabulary:,} are "
            f"{given.parameters:.4g}. Give --layers and --dim that belong to it, a smaller --vocabulary, or --params "
            f"{given.parameters:.3g}."
        )
    return given


def _evenly(exact: float) -> int:
    """The nearest width whose heads can be shared out by 8; narrow heads where wide ones would round it too far."""
    for width in HEAD_WIDTHS:
        unit = width * _EVENLY
        nearest = max(round(exact / unit), 1) * unit
        if abs(nearest / exact - 1) <= _ROUNDED:
            return nearest
    return max(round(exact / HEAD_WIDTHS[-1]), 1) * HEAD_WIDTHS[-1]


def divisors(n: int) -> list[int]:
    return [one for one in range(1, n + 1) if n % one == 0]


def _products(gpus: int) -> Iterator[Layout]:
    for tensor in divisors(gpus):
        for pipeline in divisors(gpus // tensor):
            yield Layout(tensor, pipeline, gpus // (tensor * pipeline))
