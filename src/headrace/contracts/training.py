"""How long and how fast a learned thing is trained: [retrieve.sasrec.train] and the like in TOML."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from headrace.contracts.config import config

Schedule = Literal["constant", "linear", "cosine", "inverse_sqrt", "wsd"]


@config
class ParallelConfig:
    """Under torchrun, of how many processes each replica is: tensor ranks share every layer, pipeline stages the layers.

    The rest of the processes are replicas, which share the rows of a batch: tensor x pipeline x data processes in all.
    """

    tensor: Annotated[int, Gt(0)] = 1
    pipeline: Annotated[int, Gt(0)] = 1

    @property
    def processes(self) -> int:
        return self.tensor * self.pipeline


@config
class RateLawConfig:
    """The peak rate of a run of D tokens (rows, events) is constant · D^(-beta), as `headrace.optim.laws` fits it.

    batch: so many of them a step, at which it was fitted and holds.
    """

    constant: Annotated[float, Gt(0)]
    beta: float
    batch: Annotated[int, Gt(0)]


@config
class TrainConfig:
    """epochs: at most. patience: epochs without a better validation value before it stops; the best epoch's weights are kept.

    clip_norm: gradient norm at most, 0 for no limit. accumulate: micro-batches a step; over the first ramp_steps steps they grow
    to it from ramp_from. checkpoint_every_steps: 0 for epochs' ends alone. precision: what the forward computes in; auto is
    bfloat16 on a GPU that has it, else float32.

    recompute: the model's repeated parts keep their inputs alone and run again in the backward, for memory (a forward more).
    shard: under torchrun, each process keeps its share of weights, gradients and the optimizer's state (FSDP). parallel: there,
    too, one model over several processes (docs/parallel.md).

    optimizer: a name of `headrace.optim`, or an import path "package.module:Class"; optimizer_settings: its own keys.

    balancer: how several losses become one gradient, a name of `headrace.balance` or an import path; balancer_settings: its own
    keys.

    schedule: of the learning rate over `epochs` (`headrace.optim.schedules`), whose peak is learning_rate: warmup_steps to get
    there, final_share of it left at the end, decay_share of the steps to get down (wsd alone). rate_law: in place of
    learning_rate, the rate that a law gives for a run as long as this one.

    ema_decay: above 0, objectives are given an average of the weights, which moves by 1 - ema_decay a step; keep_ema: it is what
    is validated and kept.
    """

    epochs: Annotated[int, Gt(0)] = 20
    patience: Annotated[int, Gt(0)] = 3
    optimizer: str = "adamw"
    optimizer_settings: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    balancer: str = "equal"
    balancer_settings: Mapping[str, bool | int | float | str | Mapping[str, float]] = field(default_factory=dict)
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    rate_law: RateLawConfig | None = None
    schedule: Schedule = "constant"
    warmup_steps: Annotated[int, Ge(0)] = 0
    final_share: Annotated[float, Ge(0), Le(1)] = 0.0
    decay_share: Annotated[float, Gt(0), Le(1)] = 0.2
    weight_decay: Annotated[float, Ge(0)] = 0.0
    beta2: Annotated[float, Gt(0), Lt(1)] = 0.98
    clip_norm: Annotated[float, Ge(0)] = 1.0
    ema_decay: Annotated[float, Ge(0), Lt(1)] = 0.0
    keep_ema: bool = False
    accumulate: Annotated[int, Gt(0)] = 1
    ramp_from: Annotated[int, Gt(0)] = 1
    ramp_steps: Annotated[int, Ge(0)] = 0
    checkpoint_every_steps: Annotated[int, Ge(0)] = 0
    recompute: bool = False
    shard: bool = False
    parallel: ParallelConfig = ParallelConfig()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
