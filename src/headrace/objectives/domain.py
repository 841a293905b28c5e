"""Two answers to one question, from features that are not to tell what was shown from what was not.

    choice = mean over shown of  (BCE(y, f_1) + BCE(y, f_2)) / 2
    domain = mean over shown of  BCE(1, d),   and mean over unshown of  BCE(0, d),      d = classifier(reversed(z))

`reversed(z)` is z itself, and its gradient times -strength: the classifier learns to tell the two populations apart, the features
z that both losses hang on learn to make that hard. Each population has a loss of its own, so that both weigh alike however many
there are of each.
Shapes: logits [R, C]; known [R, C] marks what was shown, pseudo_weight > 0 what was not. Cost: one pass over both.
Use it where a model of what was shown has to speak of what was not. It loses where the two differ in what the label hangs on:
features that may not show the difference can't use it either.
Source: the click-adaptive teacher among the baselines of arXiv 2602.20995; its form is our reading (docs/papers/ukdsl.md).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.pointwise import labelled, pointwise

DOMAIN = "domain"
SHOWN, UNSHOWN = "domain, shown", "domain, unshown"


def reversed_gradient(values: Tensor, strength: float) -> Tensor:
    """The values, and a gradient of -strength times what comes back."""
    # the difference is 0, so the values stay what they are, whatever the strength
    return values.detach() + strength * (values.detach() - values)


class TwoHeads:
    """A scorer over candidate lists whose logits are `heads` and DOMAIN. batch: of lists with pseudo-labels."""

    def __init__(self, task: str, heads: tuple[str, str]):
        self.task, self.heads = task, heads

    def counts(self, batch: Batch) -> Mapping[str, float]:
        shown, unshown = labelled(batch), batch["pseudo_weight"] > 0
        return {self.task: float(shown.sum()), SHOWN: float(shown.sum()), UNSHOWN: float(unshown.sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        outputs, counts = model.score(model.user(batch), batch), self.counts(batch)
        shown, unshown, domain = labelled(batch), batch["pseudo_weight"] > 0, outputs.logits[DOMAIN]
        first, second = (pointwise(outputs.logits[head], batch["label"], shown) for head in self.heads)
        means = {
            self.task: (first + second) / 2,
            SHOWN: pointwise(domain, torch.ones_like(domain), shown),
            UNSHOWN: pointwise(domain, torch.zeros_like(domain), unshown),
        }
        return {name: Loss(mean, counts[name], shared=outputs.shared) for name, mean in means.items()}
