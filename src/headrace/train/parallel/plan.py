"""What a layout tensor x pipeline x data costs: memory by part, bubble, time of a step. Formulas alone, no torch.

    parameters       N = L (12 d² + 13 d) + V d + 2 d [+ T d]     MT-NLG's 530e9 is L 105, d 20480, V 50272
    memory a GPU     16 N / (t p) + activations                   weights 2 + gradients 2 + master 4 + moments 8, in bf16
    bubble           (p - 1) / (m + p - 1)                        m micro-batches a step
    time of a step   slot · (m + p - 1) + the sum of gradients over the d replicas

The first two lines of memory and the bubble are those of MT-NLG (arXiv 2201.11990), as summarised elsewhere; 1F1B holds at most p
micro-batches, the stage s of them p - s. Here a stage is counted as it is: its own layers, the embedding on both ends where it is
tied, the tensors that are not cut whole. What a layer keeps for its backward is counted from `nn.body`'s own layer (attention by
a fused kernel, which keeps no scores; no dropout):

    numbers a token and layer    4 d + (4 d [+ 3 d for rope] + 2 w) / t    norms' inputs and outputs whole, the rest cut
    with recomputation           d a layer, and the one layer that is being recomputed

A stage that hands states on also has a buffer for the gradient that comes back.
Work of a layer and token is 24 d² + 4 T d forward, twice that backward, once more with recomputation. The rate is what a GPU does
while it computes: 160 TFLOP/s is what the three published times of a step (60.1, 50.2 and 44.4 s on 2,240, 2,800 and 3,360 GPUs)
come to here, 163, 161 and 156 one by one. Speeds of links are a machine's of eight A100s, as makers state them.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from headrace.contracts.config import config

GB = 1e9


@config
class Shape:
    """A decoder as in `nn.body`: layer norms before, gelu, a bias everywhere. hidden: 0 for 4·dim. rope: else a learned table."""

    layers: Annotated[int, Gt(0)]
    dim: Annotated[int, Gt(0)]
    heads: Annotated[int, Gt(0)]
    vocabulary: Annotated[int, Gt(0)] = 50_272
    length: Annotated[int, Gt(0)] = 2_048
    hidden: Annotated[int, Ge(0)] = 0
    tie: bool = True
    rope: bool = False

    @property
    def wide(self) -> int:
        return self.hidden or 4 * self.dim

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.dim

    @property
    def parameters(self) -> int:
        return sum(stage_parameters(self, Layout(1, 1, 1), 0).values())


@config
class Machine:
    """memory_gb: of a GPU; share: how much of it may be planned. speeds in GB/s, of one GPU, one way."""

    node_gpus: Annotated[int, Gt(0)] = 8
    memory_gb: Annotated[float, Gt(0)] = 80.0
    share: Annotated[float, Gt(0), Le(1)] = 0.75
    tflops: Annotated[float, Gt(0)] = 160.0
    node_gb_s: Annotated[float, Gt(0)] = 300.0
    network_gb_s: Annotated[float, Gt(0)] = 25.0


@config
class Bytes:
    """Of one number each: bfloat16 with a float32 master copy, or float32 alone; both 16 a parameter."""

    weights: int = 2
    gradients: int = 2
    master: int = 4
    moments: int = 8
    activations: int = 2


MIXED, FLOAT32 = Bytes(), Bytes(weights=4, gradients=4, master=0, activations=4)


@dataclass(frozen=True)
class Layout:
    tensor: int
    pipeline: int
    data: int

    @property
    def gpus(self) -> int:
        return self.tensor * self.pipeline * self.data

    def __str__(self) -> str:
        return f"{self.tensor} x {self.pipeline} x {self.data}"


@dataclass(frozen=True)
class Batch:
    """A step's rows, and the rows a stage computes at once."""

    rows: int
    micro: int = 1
    recompute: bool = False

    def micro_batches(self, layout: Layout) -> int:
        return self.rows // (layout.data * self.micro)


def bubble(stages: int, micro_batches: int) -> float:
    """Share of a step in which a stage waits for others, all stages being alike."""
    return (stages - 1) / (micro_batches + stages - 1)


def held(stages: int, micro_batches: int, stage: int) -> int:
    """Micro-batches that 1F1B keeps at once on a stage."""
    return min(micro_batches, stages - stage)


def stage_layers(layers: int, stages: int, stage: int) -> range:
    """As near to equal as can be; a later stage, which holds fewer micro-batches, takes what is left over."""
    return range(layers * stage // stages, layers * (stage + 1) // stages)


def stage_parameters(shape: Shape, layout: Layout, stage: int) -> dict[str, int]:
    """Of the largest tensor rank."""
    d, w, t = shape.dim, shape.wide, layout.tensor
    cut, whole = 4 * d * d + 2 * d * w + 3 * d + w, 6 * d  # qkv, out, widen, narrow; two norms and the two biases after a sum
    first, last = stage == 0, stage == layout.pipeline - 1
    table = -(-shape.vocabulary // t) * d
    layers = len(stage_layers(shape.layers, layout.pipeline, stage)) * (cut // t + whole)
    embedding = table * first + shape.length * d * (first and not shape.rope)
    output = table * last * (not shape.tie or not first) + 2 * d * last
    return {"layers": layers, "embedding": embedding, "output": output}


def layer_activations(shape: Shape, layout: Layout) -> float:
    """Numbers a token that a layer keeps, without recomputation."""
    return 4 * shape.dim + ((7 if shape.rope else 4) * shape.dim + 2 * shape.wide) / layout.tensor


def memory(shape: Shape, layout: Layout, batch: Batch, stage: int, of: Bytes = MIXED) -> dict[str, float]:
    """Bytes of one GPU of a stage, by part."""
    parameters = sum(stage_parameters(shape, layout, stage).values())
    m, tokens = batch.micro_batches(layout), batch.micro * shape.length
    layers = len(stage_layers(shape.layers, layout.pipeline, stage))
    last = stage == layout.pipeline - 1
    whole_layer = layer_activations(shape, layout)
    kept = layers * (shape.dim if batch.recompute else whole_layer) * held(layout.pipeline, m, stage)
    working = whole_layer if batch.recompute else 0
    states = tokens * shape.dim * of.activations
    output = tokens * (2 * shape.dim * of.activations + 4 * shape.vocabulary / layout.tensor) if last else 0
    return {
        "weights": parameters * of.weights,
        "gradients": parameters * of.gradients,
        "master weights": parameters * of.master,
        "Adam's moments": parameters * of.moments,
        "activations": (kept + working) * tokens * of.activations + output,
        "buffers": states * (not last),
    }  # fmt: skip


def peak(shape: Shape, layout: Layout, batch: Batch, of: Bytes = MIXED) -> tuple[int, dict[str, float]]:
    """The stage that needs most, and its parts."""
    stages = {0, layout.pipeline // 2, layout.pipeline - 1}
    found = {stage: memory(shape, layout, batch, stage, of) for stage in sorted(stages)}
    return max(found.items(), key=lambda pair: sum(pair[1].values()))


def model_flop(shape: Shape, batch: Batch) -> float:
    """Of a step, all GPUs together; with recomputation, as the published TFLOP/s count it."""
    passes = 4 if batch.recompute else 3
    d, w = shape.dim, shape.wide
    layer = passes * (8 * d * d + 4 * d * w + 4 * shape.length * d)
    return batch.rows * shape.length * (shape.layers * layer + 6.0 * shape.embedding)


@dataclass(frozen=True)
class StepTime:
    """Seconds. slot: the slowest stage's forward and backward of a micro-batch, of which `talk` are spent on links."""

    slot: float
    talk: float
    gradients: float
    slots: int

    @property
    def seconds(self) -> float:
        return self.slot * self.slots + self.gradients


def step_time(shape: Shape, layout: Layout, batch: Batch, machine: Machine) -> StepTime:
    """Tensor ranks talk inside a node, stages and replicas over the network, each GPU with its own share of it."""
    t, p, replicas, d, w = layout.tensor, layout.pipeline, layout.data, shape.dim, shape.wide
    tokens, passes = batch.micro * shape.length, 4 if batch.recompute else 3
    layers = len(stage_layers(shape.layers, p, p - 1))
    work = layers * passes * (8 * d * d + 4 * d * w + 4 * shape.length * d) + 6 * shape.embedding
    states = 2.0 * tokens * d
    node, network = machine.node_gb_s * GB, machine.network_gb_s * GB
    sums = (
        layers * 2 * (passes - 1) * states * 2 * (t - 1) / t / node
    )  # two a layer forward, two backward, two again if recomputed
    sends = 2 * states / (network if layout.gpus > machine.node_gpus else node) if p > 1 else 0.0
    own = max(sum(stage_parameters(shape, layout, stage).values()) for stage in (0, p - 1))
    gradients = 2 * own * 2 * (replicas - 1) / replicas / (network if layout.gpus > machine.node_gpus else node)
    return StepTime(tokens * work / t / (machine.tflops * 1e12) + sums + sends, sums + sends, gradients,
                    batch.micro_batches(layout) + p - 1)  # fmt: skip
