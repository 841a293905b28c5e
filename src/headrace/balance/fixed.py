"""Weights that stand in the TOML, for a run whose search has found them.

    [rank.dcnv2.train]      balancer = "fixed"      balancer_settings = { weights = { click = 1.0, buy = 5.0 } }

A loss that is not named has weight 1. Cost: one backward of the weighted sum. It is linear, so micro-batches and ranks add up.
A grid over them is the strongest rival of everything else here, and costs a run a point.
"""

from collections.abc import Mapping
from dataclasses import field

import numpy as np

from headrace.balance.balanced import Seen
from headrace.balance.oracles import Vector
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, listed, nearest


@config
class FixedConfig:
    weights: Mapping[str, float] = field(default_factory=dict)


class Fixed:
    Config = FixedConfig
    revision = 1
    accumulates = True
    mixed_precision = True

    def __init__(self, config: FixedConfig):
        self.config = config

    def __call__(self, seen: Seen) -> Vector:
        for name in self.config.weights:
            if name not in seen.every:
                raise ConfigError(
                    f'train.balancer_settings.weights: "{name}" is no loss here.{nearest(name, seen.every)} '
                    f"Losses: {listed(sorted(seen.every))}."
                )
        return np.array([self.config.weights.get(name, 1.0) for name in seen.names])
