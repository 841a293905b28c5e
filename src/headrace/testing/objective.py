"""What every objective promises the trainer: named means with their counts, the same again for the same draw."""

from collections.abc import Mapping
from typing import Any

import torch

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Objective, Services
from headrace.nn.seeded import seeded
from headrace.testing.expect import expect


def check_objective(objective: Objective, model: Any, batch: Batch, *, artifacts: Mapping[str, Any] | None = None) -> None:
    """model: as in training; its gradients are lost. batch: one in which every loss of the objective has terms."""
    expect(isinstance(objective, Objective), f"{type(objective).__name__} can't be called as an Objective.")
    model.train()
    given = {name: tensor.clone() for name, tensor in batch.items()}
    losses = _losses(objective, model, batch, artifacts)
    expect(losses, "The objective returns no loss: expected a mapping from name to Loss.")
    for name, loss in losses.items():
        expect(isinstance(loss, Loss), f'"{name}" is a {type(loss).__name__}: expected a Loss.')
        expect(loss.mean.dim() == 0 and loss.mean.isfinite(), f'"{name}" is {loss.mean}: expected one finite number.')
        expect(loss.mean.requires_grad, f'"{name}" has no gradient.')
        expect(loss.count > 0, f'"{name}" counts {loss.count} terms: expected more than 0.')
    if hasattr(objective, "counts"):
        found, wanted = dict(objective.counts(batch)), {name: loss.count for name, loss in losses.items()}
        expect(found == wanted, f"counts(batch) says {found}, the losses say {wanted}.")
    for name, tensor in batch.items():
        same = tensor.nan_to_num(nan=-1.0).equal(given[name].nan_to_num(nan=-1.0))  # a label that is not known is itself
        expect(same, f'The objective changed the batch\'s "{name}".')

    again = _losses(objective, model, batch, artifacts)
    for name, loss in losses.items():
        same = again[name].mean.equal(loss.mean)
        expect(same, f'"{name}" is {again[name].mean} the second time and was {loss.mean}, with the same draw.')

    model.zero_grad()
    torch.stack([loss.mean for loss in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.to_dense() for parameter in model.parameters() if parameter.grad is not None]
    expect(any(bool(g.any()) for g in gradients), "No gradient reaches the model's parameters.")
    expect(all(bool(g.isfinite().all()) for g in gradients), "A parameter's gradient is not finite.")
    model.zero_grad()


def _losses(objective: Objective, model: Any, batch: Batch, artifacts: Mapping[str, Any] | None) -> Mapping[str, Loss]:
    with seeded(0, "check_objective"):
        return objective(model, batch, Services(artifacts or {}, torch.Generator().manual_seed(0)))
