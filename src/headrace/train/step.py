"""One optimizer step: the losses of its micro-batches, weighed by count, through the balancer to one gradient.

With n_i terms of a loss in micro-batch (or rank) i and n in all, the step descends sum_i (n_i / n) mean_i: the mean over the
whole step, however it was cut. A micro-batch is a batch of each stream: all of its losses go through the balancer at once. Every
draw comes from (seed, "step", step, micro-batch[, rank]), so a step can be evaluated again as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.errors import ConfigError, HeadraceError, listed
from headrace.contracts.rng import seed_of
from headrace.contracts.seams import Balancer, Learned, Loss, Services
from headrace.nn.parallel.place import Divides
from headrace.train.distributed import Ranks
from headrace.train.layout import Layout
from headrace.train.streams import Micro, readers

if TYPE_CHECKING:
    from headrace.train.parallel.pipeline import Pipeline

Dealt = Sequence[tuple[Batch, bool]]
"""This rank's rows of a micro-batch, one batch a stream, and whether they are real (`Ranks.share`)."""


_CLEARLY_BELOW = 0.999
"""Of a bound, where rounding can't put a length on its other side."""


class NotFinite(HeadraceError):
    """A loss or a gradient that is no number, found before anything moved."""


@dataclass(frozen=True)
class Step:
    """autocast: the type the forward is computed in, None for the parameters' own."""

    learned: Learned
    layout: Layout
    optimizer: torch.optim.Optimizer
    balancer: Balancer
    services: Services
    device: torch.device
    autocast: torch.dtype | None
    ranks: Ranks
    seed: int
    clip_norm: float
    name: str

    def __call__(self, step: int, micro: Sequence[Micro]) -> dict[str, float]:
        """Moves the parameters; returns each loss's mean over the step, over all ranks."""
        dealt = [[self._dealt(batch) for batch in batches] for batches in micro]
        totals = self._totals(dealt) if len(micro) > 1 or self.ranks.size > 1 else None
        self.optimizer.zero_grad(set_to_none=True)
        report: dict[str, float] = {}
        if self.layout.pipeline is not None:
            report = self._through_stages(self.layout.pipeline, step, dealt, totals)
        for number, batches in enumerate(dealt if self.layout.pipeline is None else ()):
            self._reseed(step, number)
            losses = self._losses(batches)
            weighted, scale = self._weighted(losses, totals, report)
            reevaluate = self._reevaluation(step, batches, number, scale)
            self.balancer.backward(weighted, self._shared(losses), reevaluate)
        report = self._without_left_out(self.ranks.sum(report))
        self.layout.settle()
        norm = self.layout.norm([one.grad for one in self.layout.module.parameters() if one.grad is not None])
        length = float(norm)
        self._refuse_infinite({**report, "the gradient's norm": length}, step)
        if self.clip_norm and length > _CLEARLY_BELOW * self.clip_norm:  # else all gradients would be multiplied by 1
            self.layout.clip(self.clip_norm, norm)
        self.optimizer.step()
        if hasattr(self.balancer, "after_step"):
            self.balancer.after_step(reevaluate)
        return report

    def _without_left_out(self, report: dict[str, float]) -> dict[str, float]:
        """A loss that the balancer left out has no value in this step, and a count: its epoch's mean is over the other steps."""
        names = getattr(self.balancer, "left_out", ())
        return {name: value for name, value in report.items() if name not in names} | {left_out(name): 1.0 for name in names}

    def _through_stages(
        self, pipeline: "Pipeline", step: int, dealt: Sequence[Dealt], totals: Mapping[str, float] | None
    ) -> dict[str, float]:
        """The backward as well, of a plain sum. Only the last stage has losses; the others hand their states on."""
        objective, module = cast(Any, self.learned.objectives[0]), cast(Divides, self.layout.module)
        inputs = [objective.inputs(batch) for ((batch, _),) in dealt]
        report = dict.fromkeys(objective.counts(dealt[0][0][0]), 0.0)

        def work(number: int) -> Tensor:
            self._reseed(step, number)
            if pipeline.place.last:
                return torch.stack([*self._weighted(self._losses(dealt[number]), totals, report)[0].values()]).sum()
            with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
                return module.states(inputs[number])

        pipeline([module.shape_of_states(one) for one in inputs], work)
        return pipeline.told(report)

    def _weighted(
        self, losses: Mapping[str, Loss], totals: Mapping[str, float] | None, report: dict[str, float]
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """A micro-batch's losses as they are descended, and the factor of each; their part of the report is added to it."""
        shares = {name: _share(loss.count, name, totals) for name, loss in losses.items()}
        for name, loss in losses.items():
            report[name] = report.get(name, 0.0) + float(loss.mean.detach()) * shares[name]
        scale = {name: self.learned.weights.get(name, 1.0) * share for name, share in shares.items()}
        return {name: loss.mean * scale[name] for name, loss in losses.items()}, scale

    def _dealt(self, batch: Batch) -> tuple[Batch, bool]:
        mine, real = self.ranks.share(batch)
        return {name: values.to(self.device) for name, values in mine.items()}, real

    def _losses(self, batches: Dealt) -> Mapping[str, Loss]:
        return self.layout.losses(lambda: self._run(batches))

    def _run(self, batches: Dealt) -> dict[str, Loss]:
        losses: dict[str, Loss] = {}
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            for objectives, (batch, real) in zip(readers(self.learned), batches, strict=True):
                for objective in objectives:
                    found = objective(self.layout.module, batch, self.services)
                    if twice := losses.keys() & found.keys():
                        raise ConfigError(
                            f"{self.name}: two objectives give a loss named {listed(sorted(twice))}, the second is "
                            f"{type(objective).__name__}. Give each a name of its own: weights and curves go by it."
                        )
                    losses |= found if real else {name: replace(loss, count=0.0) for name, loss in found.items()}
        return losses

    def _shared(self, losses: Mapping[str, Loss]) -> Tensor | None:
        """What is computed from several batches has no representation in common."""
        return None if self.learned.streams else next((one.shared for one in losses.values() if one.shared is not None), None)

    def _reseed(self, step: int, number: int) -> None:
        """Dropout and objectives draw from this step's stream, whatever was drawn before."""
        seed = seed_of(self.seed, "step", step, number, *self.ranks.draws)
        # not torch.manual_seed, which walks the stack for every kind of device there might be
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        self.services.generator.manual_seed(seed)

    def _reevaluation(self, step: int, batches: Dealt, number: int, scale: Mapping[str, float]) -> Callable[[], dict[str, float]]:
        """As the balancer was given them, times weight and share; summed over the ranks, so that all of them see the same."""

        def reevaluate() -> dict[str, float]:
            self._reseed(step, number)
            with torch.no_grad():
                return self.ranks.sum({name: float(loss.mean * scale[name]) for name, loss in self._losses(batches).items()})

        return reevaluate

    def _totals(self, dealt: Sequence[Dealt]) -> dict[str, float]:
        """Terms of each loss in the whole step, known before the first backward."""
        totals: dict[str, float] = {}
        for number, objectives in enumerate(readers(self.learned)):
            for objective in objectives:
                for batch, real in (batches[number] for batches in dealt):
                    for name, count in objective.counts(batch).items():  # type: ignore[attr-defined]
                        totals[name] = totals.get(name, 0.0) + count * real
        return self.ranks.sum(totals)

    def _refuse_infinite(self, values: Mapping[str, float], step: int) -> None:
        bad = [f"{name} became {value}" for name, value in values.items() if not isfinite(value)]
        if not bad:
            return
        gradients = {name: one.grad for name, one in self.layout.module.named_parameters() if one.grad is not None}
        lengths = self.layout.lengths(gradients)
        raise NotFinite(
            f"{self.name}: {', '.join(bad)} at step {step}. {_largest(lengths)}"
            "Lower train.learning_rate, or look for such values in the data."
        )


def refuse_what_cannot_be_cut(learned: Learned, balancer: Balancer, *, accumulate: int, ranks: int, name: str) -> None:
    """A step in several micro-batches or ranks needs losses that are means over rows, and a balancer that is a sum."""
    if accumulate == ranks == 1:
        return
    cure = "Set train.accumulate = 1." if ranks == 1 else "Train it in one process, without torchrun."
    if not balancer.accumulates:
        verb = "accumulate" if ranks == 1 else "be spread over ranks"
        raise ConfigError(f"{name}: {type(balancer).__name__} can't {verb}. {cure}")
    for objective in (one for objectives in readers(learned) for one in objectives):
        kind = type(objective).__name__
        if not hasattr(objective, "counts"):
            raise ConfigError(f"{name}: {kind} has no counts(batch), so parts of a step can't be weighed. {cure} Or give it one.")
        if ranks > 1 and getattr(objective, "crosses_rows", False):
            raise ConfigError(f"{name}: the negatives of {kind} cross rows, and each rank sees its own rows alone. {cure}")


def _largest(lengths: Mapping[str, float]) -> str:
    """The gradient that is no number first; where all are, the longest."""
    if not lengths:
        return ""
    worst = max(lengths, key=lambda name: lengths[name] if isfinite(lengths[name]) else inf)
    wrong = sum(not isfinite(length) for length in lengths.values())
    also = f", {wrong} of {len(lengths)} are not finite" if wrong else ""
    return f"The largest gradient is that of {worst} ({lengths[worst]:.3g}{also}). "


def left_out(name: str) -> str:
    """The name in the curves of the share of steps that went without this loss."""
    return f"{name} left out"


def _share(count: float, name: str, totals: Mapping[str, float] | None) -> float:
    return 1.0 if totals is None else count / max(totals[name], 1.0)
