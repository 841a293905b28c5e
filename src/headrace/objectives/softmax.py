"""Full softmax over the catalogue: the next item against every other item, as a classification.

    loss = mean over kept rows of  -log softmax(logits)[target]

Shapes: logits [..., N]; target [...] integer; mask [...] or None. Cost O(N) a row.
Use it when the whole catalogue fits in a batch's memory: it learns fastest and needs no sampler. Beyond some 100,000 items use
sampled softmax with log-q correction. Relation to `listwise`: the same form with one right answer over the whole catalogue.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.reduction import masked_mean


def softmax(logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None:
        # taken out, not weighed with 0: backward would multiply that 0 with an inf or NaN
        logits, target = logits[mask], target[mask]
    return masked_mean(cross_entropy(logits.flatten(0, -2), target.flatten().long(), reduction="none"))


class NextItem:
    """Every position predicts the item that follows it. model: `hidden(items [B, T]) -> [B, T, d]`, `logits([P, d]) -> [P, N]`.

    batch: items [B, T], targets [B, T], 0 where there is nothing to predict. Item 0 (unknown) is a class nobody predicts.
    """

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {"next_item": float((batch["targets"] > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        there = batch["targets"] > 0
        # Only real positions meet the catalogue: the [P, N] product is the whole cost.
        logits = model.logits(model.hidden(batch["items"])[there])
        return {"next_item": Loss(softmax(logits, batch["targets"][there]), self.counts(batch)["next_item"])}
