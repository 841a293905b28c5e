"""Soft labels of what nobody saw, beside the labels of what was shown: one forward, two losses.

    choice = mean over shown of    BCE(y, f)
    pseudo = mean over unshown of  w BCE(ỹ, f),      ỹ in [0, 1],  w >= 0,  w = 0: left out

Shapes: logits, label, pseudo, pseudo_weight [R, C]; known [R, C] marks what was shown. Cost: the model's pass over both.
The balance of the two is a weight outside (λ), or a balancer's: both hang on the same representation. Weights have a mean of
about 1 where they come from, so λ means the same for every labeler; they are not normalised here, so that a request without
confidence moves little. A scorer whose outputs have a logit named "pseudo" learns them there, on a head of its own over the
same representation, and is served by the other: then a teacher's bias reaches what is shared alone.
Papers: GPL, arXiv 2602.20995 (its joint loss); UKDSL, arXiv 2502.06834. Our reading: docs/papers/gpl.md, docs/papers/ukdsl.md.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.pointwise import labelled, pointwise
from headrace.objectives.reduction import masked_mean

PSEUDO = "pseudo"


def soft(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Mean over terms of weight above 0 of weight × cross-entropy."""
    kept = weight > 0
    terms = binary_cross_entropy_with_logits(logits[kept], label[kept].to(logits.dtype), reduction="none")
    return masked_mean(terms * weight[kept].to(logits.dtype))


class PseudoChoice:
    """One task of a scorer over candidate lists with pseudo-labels (`data.rank_inputs.ListBatches`)."""

    def __init__(self, task: str):
        self.task = task

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {self.task: float(labelled(batch).sum()), PSEUDO: float((batch["pseudo_weight"] > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        outputs, counts = model.score(model.user(batch), batch), self.counts(batch)
        logits = outputs.logits[self.task]
        means = {
            self.task: pointwise(logits, batch["label"], labelled(batch)),
            PSEUDO: soft(outputs.logits.get(PSEUDO, logits), batch["pseudo"], batch["pseudo_weight"]),
        }
        return {name: Loss(mean, counts[name], shared=outputs.shared) for name, mean in means.items()}
