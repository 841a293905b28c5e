"""LSPR: the labelled loss of a perturbed view beside that of the clean one, in shares that add up to 1.

    loss = mean over kept terms of  (1 - α) l(y, f(x)) + α l(y, f(x + noise))

For small Gaussian noise of variance σ² and a logit linear in it this adds α σ² / 2 · p (1 - p) |w|²: a ridge on the scale of the
loss itself, so that one α serves base rates of 1% and of 30% alike. `scr`'s weight does not.
Shapes: clean, moved [...], each a mean or a term. Cost: a second forward and backward of the model, nothing when serving.
Use it for rankers of probabilities on few or sparse data; what it gains shrinks as the rows grow.
Relation to `scr`: that one wants agreement, this one the right answer; for a linear model and squared errors they are one ridge.

`by_group` is the other reading of "balanced": α of each group of rows in inverse proportion to the group's loss, so that the
perturbed losses of all groups weigh alike, with a mean over rows of α. The group's loss is the batch's own, not an average over
steps: an objective keeps no state, so a resumed run goes on bit for bit.
Paper: arXiv 2502.18478. Its formula is our reading of title and abstract (docs/papers/lspr.md).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.nn.perturb import Perturbation, perturbed
from headrace.objectives.reduction import masked_mean


def lspr(clean: Tensor, moved: Tensor, alpha: Tensor | float) -> Tensor:
    # not (1 - alpha) clean + alpha moved: without noise this form is the clean loss to the last bit
    loss: Tensor = clean + alpha * (moved - clean)
    return loss


def alphas_of_groups(losses: Tensor, groups: Tensor, alpha: float) -> Tensor:
    """Each term's α, [N], from clean losses [N] and groups [N]; none is above 1."""
    if not len(losses):
        return losses.detach()
    group, rows = torch.unique(groups, return_inverse=True, return_counts=True)[1:]
    sums = torch.zeros(len(rows), dtype=losses.dtype, device=losses.device).index_add_(0, group, losses.detach())
    inverse = (rows / sums.clamp(min=1e-12)).to(losses.dtype)[group]
    alphas: Tensor = (alpha * inverse / inverse.mean()).clamp(max=1.0)
    return alphas


def lspr_by_group(clean: Tensor, moved: Tensor, groups: Tensor, alpha: float) -> Tensor:
    """clean, moved [N]: the losses of single terms; groups [N]: any integers."""
    return masked_mean(lspr(clean, moved, alphas_of_groups(clean, groups, alpha)))


class Lspr:
    """base: an `Objective` with `counts`, each of whose losses is taken of both views. It needs no change."""

    def __init__(self, base: Any, how: Perturbation, alpha: float):
        self.base, self.how, self.alpha = base, how, alpha
        self.crosses_rows = getattr(base, "crosses_rows", False)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        counts: Mapping[str, float] = self.base.counts(batch)
        return counts

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        with perturbed(model, batch, services, self.how) as (moved_batch, same):
            moved = self.base(model, moved_batch, same)
        clean = self.base(model, batch, services)
        return {name: replace(loss, mean=lspr(loss.mean, moved[name].mean, self.alpha)) for name, loss in clean.items()}


class LsprByGroup:
    """One pointwise task of a scorer over candidate lists. groups: the batch's field [R] that says whose row it is.

    Which α a row has hangs on the rest of its batch, so it says that rows cross.
    """

    crosses_rows = True

    def __init__(self, task: str, groups: str, how: Perturbation, alpha: float):
        self.task, self.groups, self.how, self.alpha = task, groups, how, alpha

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {self.task: float((batch["items"] > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        there = batch["items"] > 0
        with perturbed(model, batch, services, self.how) as (moved_batch, _):
            moved = self._terms(model, moved_batch, batch["label"], there)
        clean = self._terms(model, batch, batch["label"], there)
        groups = batch[self.groups].unsqueeze(1).expand(there.shape)[there]
        return {self.task: Loss(lspr_by_group(clean, moved, groups, self.alpha), self.counts(batch)[self.task])}

    def _terms(self, model: Any, batch: Batch, label: Tensor, there: Tensor) -> Tensor:
        logits = model.score(model.user(batch), batch).logits[self.task][there]
        return binary_cross_entropy_with_logits(logits, label[there].to(logits.dtype), reduction="none")
