"""Steps that grow: over the first so many of them, from a few micro-batches a step to all.

    width(s) = first + floor((last - first) s / steps)   for s < steps,   last from there on

Early on a small batch says nearly as much as a large one and costs less; how many steps a run takes then hangs on the ramp, so
schedules of the learning rate are told the number here. An epoch's last step takes what is left. Cost: none.
Paper: MT-NLG (arXiv 2201.11990), whose batch grows from 32 to 1,920 rows over the first 12 of 270 billion tokens. That it grows
linearly by step and by whole micro-batches is our reading.
"""

from dataclasses import dataclass
from functools import lru_cache

from headrace.contracts.errors import ConfigError
from headrace.contracts.training import TrainConfig


@dataclass(frozen=True)
class Ramp:
    first: int
    last: int
    steps: int

    def width(self, step: int) -> int:
        """Micro-batches of the step with this number, from 0."""
        if step >= self.steps:
            return self.last
        return self.first + (self.last - self.first) * step // self.steps

    @lru_cache(maxsize=8)  # noqa: B019 - a few frozen numbers
    def steps_of(self, epochs: int, batches: int) -> int:
        """Steps of so many epochs of so many batches each."""
        step = 0
        for epoch in range(epochs):
            if step >= self.steps:
                return step + (epochs - epoch) * -(-batches // self.last)
            left = batches
            while left > 0:
                left -= self.width(step)
                step += 1
        return step


def ramp_of(config: TrainConfig, name: str) -> Ramp:
    if config.ramp_steps and config.ramp_from >= config.accumulate:
        raise ConfigError(
            f"{name}: train.ramp_from is {config.ramp_from} and train.accumulate {config.accumulate}: a step has nothing to grow "
            "to. Raise accumulate, or set ramp_steps = 0."
        )
    return Ramp(config.ramp_from, config.accumulate, config.ramp_steps)
