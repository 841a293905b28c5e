"""What a model that lies on several processes can't be trained with, each by the key and the reason."""

import torch

from headrace.balance.equal import Equal
from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Balancer, Learned
from headrace.contracts.training import TrainConfig

ELEMENTWISE = (torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD)


def refuse_what_cannot_be_divided(learned: Learned, config: TrainConfig, balancer: Balancer, name: str) -> None:
    """Raises a ConfigError at the first."""
    parallel, objective = config.parallel, learned.objectives[0]
    if parallel.processes == 1:
        return
    staged = parallel.pipeline > 1
    for holds, what, why in (
        (config.shard, "train.shard is true", "both lay the weights out. Set one of the two"),
        (config.ema_decay, f"train.ema_decay is {config.ema_decay:g}", "the average is of whole weights. Set it to 0"),
        (not isinstance(balancer, Equal), f"the balancer is {type(balancer).__name__}", "it reads gradients that lie elsewhere"),
        (learned.streams, "there are streams", "a step goes through the stages once. Mix them into one stream of batches"),
        (staged and len(learned.objectives) > 1, "there are several objectives", "a micro-batch goes through the stages once"),
        (
            staged and not hasattr(objective, "inputs"), f"{type(objective).__name__} has no inputs(batch)",
            "the first stage has to know what the model is called with. Give it one, as objectives.tokens does",
        ),
    ):  # fmt: skip
        if holds:
            layout = f"tensor {parallel.tensor} x pipeline {parallel.pipeline}"
            raise ConfigError(f"{name}: train.parallel is {layout} and {what}: {why}.")


def refuse_what_is_not_elementwise(optimizer: torch.optim.Optimizer, config: TrainConfig, name: str) -> None:
    """A process has a part of a matrix: what goes by whole rows or singular values would see that part alone."""
    if config.parallel.processes > 1 and type(optimizer) not in ELEMENTWISE:
        raise ConfigError(
            f"{name}: {type(optimizer).__name__} is not known to work element by element, and with train.parallel a process has "
            f"parts of matrices. Take one of: {', '.join(one.__name__ for one in ELEMENTWISE)}."
        )
