"""The one loop: batches → objectives → balancer → optimizer, until it stops getting better.

It knows protocols only. Every draw of a step is a function of (seed, step) and every batch of (epoch, index), so a run that is
killed and taken up again from its checkpoint ends in the same bits. `step` holds one step, `streams` what it reads, `layout`
where the weights lie, `distributed` several processes.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from headrace.balance.makers import balancer_of
from headrace.contracts.errors import ArtifactError, ConfigError, HeadraceError
from headrace.contracts.progress import Progress, silent
from headrace.contracts.seams import Balancer, Learned, Services
from headrace.contracts.training import TrainConfig
from headrace.optim.laws import with_rate_of_law
from headrace.optim.makers import maker_of
from headrace.optim.schedules import factor
from headrace.train import checkpoint
from headrace.train.checkpoint import Position
from headrace.train.distributed import Ranks, launched
from headrace.train.frozen import frozen
from headrace.train.layout import laid_out, placed, refuse_to_cut
from headrace.train.parallel.refusals import refuse_what_cannot_be_divided, refuse_what_is_not_elementwise
from headrace.train.precision import autocast_dtype
from headrace.train.ramp import ramp_of
from headrace.train.recompute import recomputing
from headrace.train.scalars import Scalars
from headrace.train.signals import Asked, Interrupted, noticed
from headrace.train.sparse import refuse_sparse_tables
from headrace.train.step import NotFinite, Step, left_out, refuse_what_cannot_be_cut
from headrace.train.streams import Micro, Rounds

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
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
    validate: Callable[[], float] | None = None,
    checkpoint_path: Path | None = None,
    scalars_path: Path | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train in place. validate: a value of the model as it stands, higher is better; the best epoch's weights are kept.

    optimizer: made from the module once it is on its device; the one that config names if None, and so the balancer.
    checkpoint_path: a file, taken up if it is of the same `run` (a digest of data and settings), written every
    `config.checkpoint_every_steps` and at each epoch's end. SIGINT and SIGTERM finish the step, write it and raise Interrupted.
    scalars_path: a folder for TensorBoard. Under torchrun every process calls this alike (headrace.train.distributed).
    artifacts: what `learned.needs` names; modules among them are frozen (headrace.train.frozen).
    """
    device = device_of(config.device)
    with ExitStack() as inside:
        inside.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        ranks, asked = placed(inside.enter_context(launched()), config, device, name), inside.enter_context(noticed())
        inside.enter_context(frozen(artifacts or {}, learned.module, device, name))
        inside.enter_context(recomputing(learned.module, name, on=config.recompute))
        return _Run(
            learned, config, seed, name, run, artifacts or {}, balancer or balancer_of(config, name), optimizer, validate,
            checkpoint_path, scalars_path, progress, ranks, device, asked,
        ).go()  # fmt: skip


def device_of(name: str) -> torch.device:
    """auto: a GPU when torch sees one. Under torchrun, the GPU of this process's number on its machine."""
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


class _Run:
    def __init__(
        self, learned: Learned, config: TrainConfig, seed: int, name: str, run: str, artifacts: Mapping[str, Any],
        balancer: Balancer, optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None,
        validate: Callable[[], float] | None, path: Path | None, scalars_path: Path | None, progress: Progress, ranks: Ranks,
        device: torch.device, asked: Asked,
    ):  # fmt: skip
        _refuse_impossible(learned, config, artifacts, name)
        refuse_what_cannot_be_divided(learned, config, balancer, name)
        refuse_what_cannot_be_cut(learned, balancer, accumulate=config.accumulate, ranks=ranks.size, name=name)
        self.ramp, self.rounds = ramp_of(config, name), Rounds(learned.streams, name)
        config = with_rate_of_law(config, self.ramp.steps_of(config.epochs, len(learned.batches.epoch(0))), name)
        self.learned, self.config, self.name, self.run, self.balancer = learned, config, name, run, balancer
        self.validate, self.path, self.ranks, self.asked = validate, path, ranks, asked
        self.progress = progress if ranks.first else silent
        self.layout = laid_out(learned.module, config, ranks, device, name)
        module, self.average = self.layout.module, self.layout.average
        self.optimizer = maker_of(config, name)(module, config, seed=seed) if optimizer is None else optimizer(module)
        refuse_to_cut(self.optimizer, config, name)
        refuse_what_is_not_elementwise(self.optimizer, config, name)
        refuse_sparse_tables(module, self.optimizer, ranks=ranks.size, processes=config.parallel.processes, name=name)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        services = Services(artifacts, torch.Generator(device), None if self.average is None else self.average.module)
        self.step = Step(
            learned, self.layout, self.optimizer, balancer, services, device,
            autocast_dtype(config.precision, device, balancer, name), ranks, seed, config.clip_norm, name,
        )  # fmt: skip
        self.position, self.best, self.saved_step = Position(), dict[str, Tensor](), 0
        self.started, self.batches_done = perf_counter(), 0
        if path is not None and path.exists():
            self._take_up(path)
        if ranks.of_first(self.position.step) != self.position.step:
            raise ArtifactError(f"{path}: rank {ranks.rank} sees another checkpoint than rank 0. Use a folder all ranks see.")
        self.scalars = Scalars(scalars_path if ranks.first else None, after_step=self.position.step)

    def go(self) -> Trained:
        try:
            while self.position.epoch < self.config.epochs and not self._stale():
                self._epoch()
        except (Interrupted, NotFinite):  # of all ranks alike
            self.layout.give_back()
            raise
        finally:
            self.scalars.close()
        if self.best:
            self.layout.module.load_state_dict(self.best)
        elif self.average is not None and self.config.keep_ema:
            self.layout.module.load_state_dict(self.average.module.state_dict())
        self.layout.give_back()
        self.ranks.copy_first(self.learned.module)
        self.learned.module.eval().to("cpu")
        at = self.position
        kept = at.best_epoch if self.validate is not None else at.epoch
        return Trained(at.step, kept, at.best_value, at.curve, perf_counter() - self.started)

    def _stale(self) -> bool:
        return self.validate is not None and self.position.epoch - self.position.best_epoch >= self.config.patience

    def _epoch(self) -> None:
        at, batches = self.position, self.learned.batches.epoch(self.position.epoch)
        self.layout.module.train()
        while at.index < len(batches):
            width = min(self.ramp.width(at.step), len(batches) - at.index)
            micro = [(batches[at.index + i], *self.rounds.next(at.streams)) for i in range(width)]
            rate = self._set_rate(len(batches))
            losses = self._stepped(micro)
            for name, value in losses.items():
                at.sums[name] = at.sums.get(name, 0.0) + value
            at.index += len(micro)
            at.step += 1
            at.summed += 1
            self.batches_done += len(micro)
            if self.config.checkpoint_every_steps and at.step % self.config.checkpoint_every_steps == 0:
                self._save()
            self.scalars.add(at.step, {f"loss/{name}": value for name, value in losses.items()} | rate)
            self.progress(self.name, at.epoch * len(batches) + at.index, self.config.epochs * len(batches), self._note())
            self._stop_if_asked()
        means = {name: value / max(at.summed - at.sums.get(left_out(name), 0.0), 1) for name, value in at.sums.items()}
        at.epoch, at.index, at.sums, at.summed = at.epoch + 1, 0, {}, 0
        if self.validate is not None:
            means["valid"] = self._validated(self.validate)
        at.curve.append(means)
        self.scalars.add(at.step, {f"epoch/{name}": value for name, value in means.items()})
        self.scalars.flush()
        self._save()
        self._stop_if_asked()

    def _set_rate(self, batches: int) -> dict[str, float]:
        """The next step's. batches: of an epoch, all of which are taken to be as long."""
        asked = self.config
        if asked.schedule == "constant" and not asked.warmup_steps:
            return {}
        steps = self.ramp.steps_of(asked.epochs, batches)
        now = factor(
            self.position.step, steps, asked.schedule, warmup=asked.warmup_steps, final=asked.final_share, decay=asked.decay_share
        )
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * now
        return {"learning_rate": asked.learning_rate * now}

    def _stepped(self, micro: Sequence[Micro]) -> dict[str, float]:
        try:
            losses = self.step(self.position.step, micro)
        except NotFinite as error:
            if self.path is None or not self.path.exists():
                raise
            raise NotFinite(f"{error} {self.path} holds the run as it stood after step {self.saved_step}.") from None
        if self.average is not None:
            self.average.update(self.layout.module)
        return losses

    def _validated(self, validate: Callable[[], float]) -> float:
        at, value = self.position, 0.0
        source = self.average.module if self.average is not None and self.config.keep_ema else self.layout.module
        with self.layout.at_home(source):
            if self.ranks.first:
                self.learned.module.eval()
                with torch.no_grad():
                    value = validate()
        value = self.ranks.of_first(value)
        if isnan(value):
            raise HeadraceError(f"{self.name}: the validation value of epoch {at.epoch} is not a number.")
        if at.best_value is None or value > at.best_value:
            at.best_value, at.best_epoch = value, at.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in source.state_dict().items()}
        return value

    def _note(self) -> str:
        """The newest epoch's figures, and the rate of this process since it started."""
        at = self.position
        figures = [f"{name} {value:.4f}" for name, value in at.curve[-1].items()] if at.curve else []
        return "  ".join([*figures, f"{self.batches_done / (perf_counter() - self.started):.1f} batches/s"])

    def _stop_if_asked(self) -> None:
        by = self.asked.by
        if not self.ranks.any(by is not None):
            return
        self._save()
        at = f"{self.name}: stopped after step {self.position.step}" + (f" by {by}" if by else "")
        if self.path is None:
            raise Interrupted(f"{at}. Nothing was kept: there is no checkpoint_path. The next run starts anew.")
        raise Interrupted(f"{at}. {self.path} holds where it stands: run the same again to go on, to the same result.")

    def _take_up(self, path: Path) -> None:
        found = checkpoint.load(path, run=self.run, made_of=self.learned.made_of, layout=self.layout, optimizer=self.optimizer)
        at = self.position = found.position
        if found.format < 3:  # every step of its epoch took as many micro-batches
            at.summed = -(-at.index // self.config.accumulate)
        self.best, self.saved_step = found.best, at.step
        if hasattr(self.balancer, "load_state_dict"):
            self.balancer.load_state_dict(found.balancer)
        log.info("%s: taken up at epoch %d, step %d", self.name, at.epoch, at.step)
        if found.ranks != self.ranks.size:
            log.warning("%s: taken up with %d ranks, was %d: other draws follow", self.name, self.ranks.size, found.ranks)

    def _save(self) -> None:
        if self.path is not None:
            state = self.balancer.state_dict() if hasattr(self.balancer, "state_dict") else {}
            checkpoint.save(
                self.path, run=self.run, made_of=self.learned.made_of, position=self.position, layout=self.layout,
                optimizer=self.optimizer, best=self.best, balancer=state, ranks=self.ranks,
            )  # fmt: skip
            self.saved_step = self.position.step


def _refuse_impossible(learned: Learned, config: TrainConfig, artifacts: Mapping[str, Any], name: str) -> None:
    missing = [need for need in learned.needs if need not in artifacts]
    if missing:
        raise ConfigError(f"{name} needs the artifacts {', '.join(missing)}, and has: {', '.join(artifacts) or 'none'}.")
    if config.keep_ema and not config.ema_decay:
        raise ConfigError(f"{name}: train.keep_ema is true and train.ema_decay 0: no average is made. Set it, to 0.999 say.")
