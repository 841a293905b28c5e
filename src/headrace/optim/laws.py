"""The best learning rate as a power law of the run's length, from small runs; then what it says of a long one.

    rate*(D) = c D^(-β)          D: tokens (events, rows) seen in all, at one model and one number of tokens a step

The rate that is best for a short run is too high for a long one. For each length the losses of a grid of rates are fitted by a
quadratic in log rate near their least; its vertex is rate*. log rate* is regressed on log D. Means over seeds; β's interval is a
bootstrap over seeds, or, where there is one seed, as wide as the grid's step allows.

Shapes: rates [K, G], losses [seeds, K, G], lengths [K]. Cost: nothing beside the K G runs.
The law holds for what was held: batch size (a larger one wants a higher rate, and a batch that grows with D can turn β's sign),
schedule (scaled to each run's own end), warm-up in tokens, fresh data in every step (else it is a law of epochs), and the model:
β falls as models grow. So it says the batch it was fitted at and refuses another.
Paper: Bjorck et al., ICLR 2025 (arXiv 2409.19913), sections 3 and 4. The quadratic's window of five rates is our reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng
from headrace.contracts.training import RateLawConfig, TrainConfig

WINDOW = 2
"""Rates on either side of the least loss that the quadratic is fitted to."""


@dataclass(frozen=True)
class RateLaw:
    """constant: c. beta: β. interval: of β, 95%. batch: tokens a step. lengths: what it was fitted on."""

    constant: float
    beta: float
    interval: tuple[float, float]
    batch: int
    lengths: tuple[float, ...]

    def __call__(self, length: float) -> float:
        """rate*(D)."""
        return float(self.constant * length**-self.beta)

    def applied(self, train: TrainConfig, *, length: float, batch: int) -> TrainConfig:
        """The same settings with the law's rate for a run of `length` tokens, `batch` a step."""
        if batch != self.batch:
            raise ConfigError(
                f"the rate's law was fitted at {self.batch} tokens a step, and {batch} were asked for. Fit it there."
            )
        return replace(train, learning_rate=self(length))

    @property
    def settings(self) -> RateLawConfig:
        """As [retrieve.sasrec.train] takes it: rate_law = { constant = ..., beta = ..., batch = ... }."""
        return RateLawConfig(constant=self.constant, beta=self.beta, batch=self.batch)


def with_rate_of_law(train: TrainConfig, steps: int, name: str) -> TrainConfig:
    """The same settings with the rate that its law, where it has one, gives for a run of so many steps."""
    law = train.rate_law
    if law is None:
        return train
    if train.ramp_steps:
        raise ConfigError(
            f"{name}: train.rate_law was fitted at {law.batch} a step and train.ramp_steps is {train.ramp_steps}: the steps "
            "grow, and the law holds for steps of one size. Set ramp_steps = 0, or learning_rate in place of the law."
        )
    return replace(train, learning_rate=law.constant * (steps * law.batch) ** -law.beta)


def best_rate(rates: Float64, losses: Float64) -> float:
    """The vertex of the quadratic through the least loss and its neighbours; rates [G] ascending, losses [G], inf if diverged."""
    least = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))
    if not 0 < least < len(rates) - 1:
        side = "lowest" if least == 0 else "highest"
        raise DataError(
            f"the best of {len(rates)} rates is the {side}, {rates[least]:.2g}: the least loss may lie beyond. Add rates."
        )
    near = np.arange(max(least - WINDOW, 0), min(least + WINDOW + 1, len(rates)))
    for window in (near, near[abs(near - least) <= 1]):
        window = window[np.isfinite(losses[window])]
        x = np.log(rates[window] / rates[least])
        bend, slope, _ = np.polyfit(x, losses[window], 2) if len(window) > 2 else (0.0, 0.0, 0.0)
        if bend > 0:
            # no further than a neighbour, and not towards one that diverged
            low, high = (
                np.log(rates[side] / rates[least]) if np.isfinite(losses[side]) else 0.0 for side in (least - 1, least + 1)
            )
            return float(rates[least] * np.exp(np.clip(-slope / (2 * bend), low, high)))
    return float(rates[least])


def fit_law(
    lengths: Sequence[float], rates: Float64, losses: Float64, *, batch: int, resamples: int = 500, seed: int = 0
) -> RateLaw:
    """At least two lengths; losses of diverged runs are inf or nan."""
    if len(set(lengths)) < 2 or losses.shape[1:] != rates.shape or len(rates) != len(lengths):
        raise DataError(
            f"lengths {list(lengths)}, rates {rates.shape}, losses {losses.shape}: "
            "expected two different lengths or more, [K, G] and [seeds, K, G]."
        )
    constant, beta = _regressed(lengths, rates, losses.mean(0))
    draw, slopes = rng(seed, "rate law"), []
    for _ in range(resamples if len(losses) > 1 else 0):
        picked = losses[draw.integers(0, len(losses), len(losses))].mean(0)
        try:
            slopes.append(_regressed(lengths, rates, picked)[1])
        except DataError:  # a draw of seeds whose best lies at the grid's edge
            continue
    if slopes:
        low, high = np.percentile(slopes, [2.5, 97.5])
    else:
        step = float(np.log(rates[:, 1:] / rates[:, :-1]).max() / np.log(max(lengths) / min(lengths)))
        low, high = beta - step, beta + step
    return RateLaw(constant, beta, (float(low), float(high)), batch, tuple(lengths))


def _regressed(lengths: Sequence[float], rates: Float64, losses: Float64) -> tuple[float, float]:
    best = [best_rate(grid, of) for grid, of in zip(rates, losses, strict=True)]
    slope, intercept = np.polyfit(np.log(lengths), np.log(best), 1)
    return float(np.exp(intercept)), float(-slope)
