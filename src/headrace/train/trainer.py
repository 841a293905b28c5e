"""The one loop: batches → objectives → balancer → optimizer, until it stops getting better.

It knows protocols only. Every draw of step n (dropout, an objective's noise) comes from the stream (seed, "step", n) and every
batch from (epoch, index), so a run that is killed and taken up again from its checkpoint ends in the same bits, and a step can be
evaluated again as it was (`reevaluate`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from headrace.balance.equal import Equal
from headrace.contracts.batch import Batch
from headrace.contracts.errors import ConfigError, HeadraceError
from headrace.contracts.progress import Progress, silent
from headrace.contracts.rng import seed_of
from headrace.contracts.seams import Balancer, Learned, Loss, Services
from headrace.contracts.training import TrainConfig
from headrace.train import checkpoint
from headrace.train.checkpoint import Position

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """curve: one entry an epoch (mean losses, the validation value). epochs: those whose weights were kept."""

    steps: int
    epochs: int
    best_value: float | None
    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def train(
    learned: Learned,
    config: TrainConfig,
    *,
    seed: int,
    name: str = "model",
    run: str = "",
    artifacts: Mapping[str, Any] | None = None,
    balancer: Balancer | None = None,
    validate: Callable[[], float] | None = None,
    checkpoint_path: Path | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train in place. validate: a value of the model as it stands, higher is better; the best epoch's weights are kept.

    checkpoint_path: taken up if there is one of the same `run` (a digest of data and settings), written at each epoch's end.
    """
    with torch.random.fork_rng():
        return _Run(
            learned, config, seed, name, run, artifacts or {}, balancer or Equal(), validate, checkpoint_path, progress
        ).go()


def device_of(name: str) -> torch.device:
    """auto: a GPU when torch sees one."""
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


class _Run:
    def __init__(self, learned: Learned, config: TrainConfig, seed: int, name: str, run: str, artifacts: Mapping[str, Any],
                 balancer: Balancer, validate: Callable[[], float] | None, path: Path | None, progress: Progress):  # fmt: skip
        self.learned, self.config, self.seed, self.name, self.run = learned, config, seed, name, run
        self.balancer, self.validate, self.path, self.progress = balancer, validate, path, progress
        self.module, self.device = learned.module, device_of(config.device)
        missing = [need for need in learned.needs if need not in artifacts]
        if missing:
            raise ConfigError(f"{name} needs the artifacts {', '.join(missing)}, and has: {', '.join(artifacts) or 'none'}.")
        if config.accumulate > 1:
            self._refuse_accumulation()
        self.generator = torch.Generator(self.device)
        self.services = Services(artifacts, self.generator)
        self.module.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, config.beta2),
            fused=True,
        )  # fmt: skip
        self.position, self.best = Position(), dict[str, Tensor]()

    def go(self) -> Trained:
        started = perf_counter()
        if self.path is not None and self.path.exists():
            self.position, self.best, state = checkpoint.load(
                self.path, run=self.run, module=self.module, optimizer=self.optimizer
            )
            if hasattr(self.balancer, "load_state_dict"):
                self.balancer.load_state_dict(state)
            log.info("%s: taken up at epoch %d, step %d", self.name, self.position.epoch, self.position.step)
        while self.position.epoch < self.config.epochs and not self._stale():
            self._epoch()
        if self.best:
            self.module.load_state_dict(self.best)
        self.module.eval().to("cpu")
        at = self.position
        kept = at.best_epoch if self.validate is not None else at.epoch
        return Trained(at.step, kept, at.best_value, at.curve, perf_counter() - started)

    def _stale(self) -> bool:
        return self.validate is not None and self.position.epoch - self.position.best_epoch >= self.config.patience

    def _epoch(self) -> None:
        at, batches = self.position, self.learned.batches.epoch(self.position.epoch)
        self.module.train()
        while at.index < len(batches):
            micro = [batches[i] for i in range(at.index, min(at.index + self.config.accumulate, len(batches)))]
            for name, value in self._step([{k: v.to(self.device) for k, v in batch.items()} for batch in micro]).items():
                at.sums[name] = at.sums.get(name, 0.0) + value
            at.index += len(micro)
            at.step += 1
            if self.config.checkpoint_every_steps and at.step % self.config.checkpoint_every_steps == 0:
                self._save()
            note = "  ".join(f"{name} {value:.4f}" for name, value in at.curve[-1].items()) if at.curve else ""
            self.progress(self.name, at.epoch * len(batches) + at.index, self.config.epochs * len(batches), note)
        steps = -(-len(batches) // self.config.accumulate)
        means = {name: value / max(steps, 1) for name, value in at.sums.items()}
        at.epoch, at.index, at.sums = at.epoch + 1, 0, {}
        if self.validate is not None:
            self.module.eval()
            with torch.no_grad():
                value = self.validate()
            means["valid"] = value
            if at.best_value is None or value > at.best_value:
                at.best_value, at.best_epoch = value, at.epoch
                self.best = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}
        at.curve.append(means)
        self._save()

    def _step(self, micro: Sequence[Batch]) -> dict[str, float]:
        totals = self._counts(micro) if len(micro) > 1 else {}
        self.optimizer.zero_grad(set_to_none=True)
        report: dict[str, float] = {}
        for number, batch in enumerate(micro):
            self._reseed(number)
            losses = self._losses(batch)
            shares = {name: loss.count / totals[name] if totals else 1.0 for name, loss in losses.items()}
            scale = {name: self.learned.weights.get(name, 1.0) * share for name, share in shares.items()}
            weighted = {name: loss.mean * scale[name] for name, loss in losses.items()}
            reevaluate = self._reevaluation(batch, number, scale)
            shared = next((loss.shared for loss in losses.values() if loss.shared is not None), None)
            self.balancer.backward(weighted, shared, reevaluate)
            for name, loss in losses.items():
                report[name] = report.get(name, 0.0) + float(loss.mean.detach()) * shares[name]
        bad = [f"{name} became {value}" for name, value in report.items() if not isfinite(value)]
        if bad:
            raise HeadraceError(f"{self.name}: {', '.join(bad)} at step {self.position.step}. Lower train.learning_rate.")
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip_norm)
        self.optimizer.step()
        if hasattr(self.balancer, "after_step"):
            self.balancer.after_step(reevaluate)
        return report

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        losses: dict[str, Loss] = {}
        for objective in self.learned.objectives:
            losses |= objective(self.module, batch, self.services)
        return losses

    def _reseed(self, number: int) -> None:
        """Dropout and objectives draw from this step's stream, whatever was drawn before."""
        seed = seed_of(self.seed, "step", self.position.step, number)
        torch.manual_seed(seed)
        self.generator.manual_seed(seed)

    def _reevaluation(self, batch: Batch, number: int, scale: Mapping[str, float]) -> Callable[[], dict[str, float]]:
        """As the balancer was given them: times weight and share."""

        def reevaluate() -> dict[str, float]:
            self._reseed(number)
            with torch.no_grad():
                return {name: float(loss.mean * scale[name]) for name, loss in self._losses(batch).items()}

        return reevaluate

    def _counts(self, micro: Sequence[Batch]) -> dict[str, float]:
        totals: dict[str, float] = {}
        for objective in self.learned.objectives:
            for batch in micro:
                for name, count in objective.counts(batch).items():  # type: ignore[attr-defined]
                    totals[name] = totals.get(name, 0.0) + count
        return {name: max(total, 1.0) for name, total in totals.items()}

    def _refuse_accumulation(self) -> None:
        if not self.balancer.accumulates:
            raise ConfigError(f"{self.name}: {type(self.balancer).__name__} can't accumulate. Set train.accumulate = 1.")
        for objective in self.learned.objectives:
            if not hasattr(objective, "counts"):
                raise ConfigError(
                    f"{self.name}: {type(objective).__name__} has no counts(batch), so micro-batches can't be weighed. "
                    "Set train.accumulate = 1, or give it one."
                )

    def _save(self) -> None:
        if self.path is not None:
            state = self.balancer.state_dict() if hasattr(self.balancer, "state_dict") else {}
            checkpoint.save(self.path, run=self.run, position=self.position, module=self.module, optimizer=self.optimizer,
                            best=self.best, balancer=state)  # fmt: skip
