"""Self-consistency: a small perturbation should not change what a model says, whatever the label is.

    consistency = mean over kept terms of  D(f(x), f(x + noise))

D: "logit_mse" (a - b)², "prob_mse" (p - q)², "symmetric_kl" KL(p|q) + KL(q|p) = (p - q)(a - b), for logits a, b and p, q their
sigmoids. stop_gradient: the clean view is what the other has to meet; else both give way.
Shapes: clean, moved [...] logits; mask [...] or None. Cost: a second forward and backward of the model, nothing when serving.
Use it where there are rows without labels. The weight hangs on D and on the base rate: at rates near 1% "prob_mse" hardly
weighs, "logit_mse" is a plain ridge. Relation to `lspr`: its loss is labelled and keeps its scale; try that first.
Paper: arXiv 2502.18478, where it is the baseline; D and its weight are our reading (docs/papers/lspr.md).
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Outputs, Services, State
from headrace.nn.perturb import Perturbation, perturbed
from headrace.objectives.reduction import masked_mean

Distance = Literal["logit_mse", "prob_mse", "symmetric_kl"]
CONSISTENCY = "consistency"


def consistency(
    clean: Tensor, moved: Tensor, mask: Tensor | None = None, *, distance: Distance = "logit_mse", stop_gradient: bool = False
) -> Tensor:
    if mask is not None:
        # taken out, not weighed with 0: backward would multiply that 0 with an inf or NaN
        clean, moved = clean[mask], moved[mask]
    clean = clean.detach() if stop_gradient else clean
    match distance:
        case "logit_mse":
            return masked_mean((clean - moved).square())
        case "prob_mse":
            return masked_mean((clean.sigmoid() - moved.sigmoid()).square())
        case "symmetric_kl":
            return masked_mean((clean.sigmoid() - moved.sigmoid()) * (clean - moved))


class Scr:
    """Beside the losses of `base`, an objective of a scorer over candidate lists: CONSISTENCY, of each real candidate's logit."""

    def __init__(self, base: Any, task: str, how: Perturbation, *, distance: Distance = "logit_mse", stop_gradient: bool = False):
        self.base, self.task, self.how = base, task, how
        self.distance, self.stop_gradient = distance, stop_gradient
        self.crosses_rows = getattr(base, "crosses_rows", False)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {**self.base.counts(batch), CONSISTENCY: float((batch["items"] > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        with perturbed(model, batch, services, self.how) as (moved_batch, _):
            moved = model.score(model.user(moved_batch), moved_batch).logits[self.task]
        heard = _Heard(model)
        losses = self.base(heard, batch, services)
        there, clean = batch["items"] > 0, heard.outputs.logits[self.task]
        mean = consistency(clean, moved, there, distance=self.distance, stop_gradient=self.stop_gradient)
        return {**losses, CONSISTENCY: Loss(mean, self.counts(batch)[CONSISTENCY])}


class _Heard:
    """A scorer whose last outputs are kept, so that the base's clean forward is not run a second time."""

    outputs: Outputs

    def __init__(self, model: Any):
        self.model = model

    def user(self, batch: Batch) -> State:
        state: State = self.model.user(batch)
        return state

    def score(self, state: State, candidates: Batch) -> Outputs:
        self.outputs = self.model.score(state, candidates)
        return self.outputs
