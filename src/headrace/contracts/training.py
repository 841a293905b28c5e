"""How long and how fast a learned thing is trained: [retrieve.sasrec.train] and the like in TOML."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from headrace.contracts.config import config


@config
class TrainConfig:
    """epochs: at most. patience: epochs without a better validation value before it stops; the best epoch's weights are kept.

    clip_norm: gradient norm at most, 0 for no limit. accumulate: micro-batches a step. checkpoint_every_steps: 0 for epochs' ends
    alone. precision: what the forward computes in; auto is bfloat16 on a GPU that has it, else float32.
    """

    epochs: Annotated[int, Gt(0)] = 20
    patience: Annotated[int, Gt(0)] = 3
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 0.0
    beta2: Annotated[float, Gt(0), Lt(1)] = 0.98
    clip_norm: Annotated[float, Ge(0)] = 1.0
    accumulate: Annotated[int, Gt(0)] = 1
    checkpoint_every_steps: Annotated[int, Ge(0)] = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
