"""Listwise softmax: within one request's candidates, the chosen ones should hold the probability.

    loss = mean over kept rows of  -sum_c y_c log softmax(logits)_c / sum_c y_c

Shapes: logits, label [..., C] (label >= 0); there [..., C] marks real candidates. A row without a chosen candidate is left out.
Cost O(C) a row. Use it where only the order inside a request matters, as in a ranker of retrieved candidates. Scores are free
up to a constant a request, so they are no probabilities: use `pointwise` where those are needed.
Paper: Cao et al., ICML 2007 (ListNet, top-one form).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.reduction import masked_mean


def listwise(logits: Tensor, label: Tensor, there: Tensor | None = None) -> Tensor:
    if there is not None:
        logits = logits.masked_fill(~there, torch.finfo(logits.dtype).min)
        label = label.masked_fill(~there, 0)
    total = label.sum(-1)
    losses = -(label * logits.log_softmax(-1)).sum(-1) / total.clamp(min=torch.finfo(label.dtype).tiny)
    return masked_mean(losses, total > 0)


class ListwiseChoice:
    """One task of a scorer over candidate lists. batch: the scorer's user fields, its candidate fields, and "label" [R, C]."""

    def __init__(self, task: str):
        self.task = task

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {self.task: float((batch["label"].sum(-1) > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        logits = model.score(model.user(batch), batch).logits[self.task]
        return {self.task: Loss(listwise(logits, batch["label"], batch["items"] > 0), self.counts(batch)[self.task])}
