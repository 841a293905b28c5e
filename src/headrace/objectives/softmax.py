"""Full softmax over the catalogue: the next item against every other item, as a classification.

    loss = mean over kept rows of  -log softmax(logits)[target]

Shapes: logits [..., N]; target [...] integer; mask [...] or None. Cost O(N) a row.
Use it when the whole catalogue fits in a batch's memory: it learns fastest and needs no sampler. Beyond some 100,000 items use
sampled softmax with log-q correction. Relation to `listwise`: the same form with one right answer over the whole catalogue.
Where the logits are products with item vectors, `softmax_of_products` is the same loss without the [P, N] logits in memory.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.reduction import masked_mean

_CPU_LOGITS, _GPU_LOGITS = 2**18, 2**26
"""Logits held at once: on a CPU 1 MiB, so that a core's cache keeps them."""


def softmax(logits: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None:
        # taken out, not weighed with 0: backward would multiply that 0 with an inf or NaN
        logits, target = logits[mask], target[mask]
    return masked_mean(cross_entropy(logits.flatten(0, -2), target.flatten().long(), reduction="none"))


def softmax_of_products(hidden: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
    """softmax(hidden @ vectors.T, target), a slice of rows at a time. hidden [P, d], vectors [N, d], target [P].

    The gradient is taken in the forward, while a slice's logits are still in the cache: O(P N d) products as before, but
    O(slice N) memory, and one pass of exponentials. It has no second derivative; `softmax` has.
    """
    apply: Any = _SoftmaxOfProducts.apply
    loss: Tensor = apply(hidden, vectors, target.long(), torch.is_grad_enabled())
    return loss


class _SoftmaxOfProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, vectors: Tensor, target: Tensor, wanted: bool) -> Tensor:
        device, count = hidden.device.type, max(len(hidden), 1)
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        left, right = hidden.to(kind), vectors.to(kind)
        total = torch.zeros((), dtype=vectors.dtype, device=hidden.device)
        to_hidden = torch.empty_like(hidden) if wanted else None
        to_vectors = torch.zeros_like(vectors) if wanted else None
        rows = max((_CPU_LOGITS if device == "cpu" else _GPU_LOGITS) // max(len(vectors), 1), 1)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits, true = (left[part] @ right.T).to(vectors.dtype), target[part, None]
            most, place = logits.max(-1, keepdim=True)
            truth = logits.gather(1, true)
            p = torch.softmax(logits, -1, out=logits)
            # the largest logit's own probability gives log sum exp, and can't vanish: it is at least 1 / N
            total += (most - p.gather(1, place).log() - truth).sum()
            if to_hidden is not None and to_vectors is not None:
                p.scatter_add_(1, true, torch.full_like(truth, -1.0))
                slope = p.to(kind)
                to_hidden[part] = slope @ right
                to_vectors += slope.T @ left[part]
        ctx.save_for_backward(*(one.div_(count) for one in (to_hidden, to_vectors) if one is not None))
        return (total / count).to(vectors.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None]:
        to_hidden, to_vectors = ctx.saved_tensors
        return to_hidden * slope, to_vectors * slope, None, None


class NextItem:
    """Every position predicts the item that follows it.

    model: `hidden(items [B, T]) -> [B, T, d]`, and `item_vectors() -> [N, d]` where a logit is a product with one of them,
    else `logits([P, d]) -> [P, N]`. batch: items [B, T], targets [B, T], 0 where there is nothing to predict. Item 0 (unknown)
    is a class nobody predicts.
    """

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {"next_item": float((batch["targets"] > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        there = batch["targets"] > 0
        # Only real positions meet the catalogue: the [P, N] product is the whole cost.
        hidden, target = model.hidden(batch["items"])[there], batch["targets"][there]
        if hasattr(model, "item_vectors"):
            mean = softmax_of_products(hidden, model.item_vectors(), target)
        else:
            mean = softmax(model.logits(hidden), target)
        return {"next_item": Loss(mean, float(len(target)))}
