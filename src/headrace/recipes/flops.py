"""Training FLOPs, counted and not estimated, so that unlike models can be given equal ones.

Some batches, spread over an epoch, are run forward and backward under torch's counter: every matrix product counts 2 · m · n · k,
whatever is element-wise counts nothing. An epoch is their mean times its batches, a tenth off or two where lengths differ much.
Padding is counted: it is computed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from headrace.contracts.seams import Learned, Services
from headrace.contracts.training import TrainConfig
from headrace.nn.seeded import seeded

_BATCHES = 8


def flops_of_an_epoch(learned: Learned, artifacts: Mapping[str, Any]) -> float:
    """The module, its gradients and torch's streams stay as they are."""
    epoch = learned.batches.epoch(0)
    chosen = np.unique(np.linspace(0, len(epoch) - 1, min(_BATCHES, len(epoch))).round().astype(int))
    module, training = learned.module, learned.module.training
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    counter = FlopCounterMode(display=False)
    with seeded(0, "flops"), counter:
        module.train()
        for place in chosen.tolist():
            services = Services(artifacts, torch.Generator().manual_seed(0))
            losses = [
                loss.mean for objective in learned.objectives for loss in objective(module, epoch[place], services).values()
            ]
            torch.autograd.grad(torch.stack(losses).sum(), parameters, allow_unused=True)
    module.train(training)
    return counter.get_total_flops() / len(chosen) * len(epoch)


def with_epochs_of(flops: float, learned: Learned, config: TrainConfig, artifacts: Mapping[str, Any]) -> TrainConfig:
    """As many whole epochs as are nearest to what these FLOPs buy, at least one."""
    return replace(config, epochs=max(round(flops / flops_of_an_epoch(learned, artifacts)), 1))
