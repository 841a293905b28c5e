"""Binary cross-entropy: each score alone against yes or no.

    loss = mean over kept terms of  -y log sigmoid(logit) - (1 - y) log(1 - sigmoid(logit))

Shapes: logits, label [...] with label in [0, 1]; mask [...] or None. Cost O(1) a term.
Use it where the score must be a probability. For order alone `listwise` and `softmax` learn faster.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.data.negatives import NegativeSampler
from headrace.objectives.reduction import masked_mean


def pointwise(logits: Tensor, label: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None:
        # taken out, not weighed with 0: backward would multiply that 0 with an inf or NaN
        logits, label = logits[mask], label[mask]
    return masked_mean(binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction="none"))


class PointwiseChoice:
    """One task of a scorer over candidate lists, each real candidate a term of its own. batch: as `ListwiseChoice` reads it.

    Of lists with pseudo-labels, those whose labels are known.
    """

    def __init__(self, task: str):
        self.task = task

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {self.task: float(labelled(batch).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        logits = model.score(model.user(batch), batch).logits[self.task]
        return {self.task: Loss(pointwise(logits, batch["label"], labelled(batch)), self.counts(batch)[self.task])}


def labelled(batch: Batch) -> Tensor:
    """[R, C]: the candidates that are there and whose labels say something."""
    there = batch["items"] > 0
    return there & batch["known"] if "known" in batch else there


class OneNegative:
    """Every position tells the item that follows it from one drawn item.

    model: `hidden(items [B, T]) -> [B, T, d]`, `scores(hidden [P, d], items [P]) -> [P]`.
    loss = mean over positions of  -log sigmoid(positive) - log(1 - sigmoid(negative));  batch as `NextItem` reads it.
    A drawn item may be the right one. Paper: Kang and McAuley, ICDM 2018, section 3.5.
    """

    def __init__(self, negatives: NegativeSampler):
        self.negatives = negatives

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {"one_negative": float((batch["targets"] > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        there = batch["targets"] > 0
        hidden, positive = model.hidden(batch["items"])[there], batch["targets"][there]
        negative = self.negatives.sample((len(positive),), services.generator)
        right, wrong = model.scores(hidden, positive), model.scores(hidden, negative)
        mean = pointwise(right, torch.ones_like(right)) + pointwise(wrong, torch.zeros_like(wrong))
        return {"one_negative": Loss(mean, self.counts(batch)["one_negative"])}
