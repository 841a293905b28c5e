"""Sampled softmax over the batch: each row's item against the items of the other rows, corrected for how often those come.

    loss = mean over rows of  -log( exp(s_rr) / (exp(s_rr) + sum over j of exp(s_rj) / ((B - 1) q_j)) )
    j: the other rows, but for those whose item is r's own again

An in-batch negative comes as often as it is chosen, so without the correction popular items are punished for being popular; with
it the sum estimates the full softmax's. The row's own item is there with certainty, so it is not corrected.
Shapes: scores [B, B], row r's own item in column r; items, log_q [B]. Cost O(B²).
Use it where the catalogue is too large for `softmax` and a batch holds some hundred rows; below that it has too few negatives.
Its negatives are the other rows', so the loss depends on the batch's make-up: gradient accumulation is not a larger batch.
Paper: Yi et al., RecSys 2019, section 4; they correct the own item as well (docs/papers/two_tower.md).
"""

from collections.abc import Mapping
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.reduction import masked_mean


def in_batch(scores: Tensor, items: Tensor, log_q: Tensor) -> Tensor:
    """log_q: log of the chance that one row holds the column's item."""
    rows = torch.arange(len(items), device=items.device)
    own = rows.unsqueeze(0) == rows.unsqueeze(1)
    accidental = (items.unsqueeze(0) == items.unsqueeze(1)) & ~own
    expected = (log_q + log(max(len(items) - 1, 1))).to(scores.dtype)
    corrected = scores.where(own, scores - expected).masked_fill(accidental, torch.finfo(scores.dtype).min)
    return masked_mean(cross_entropy(corrected, rows, reduction="none"))


class InBatchChoice:
    """model: `user(batch) -> [B, d]`, `item(items [B]) -> [B, d]`, `temperature`, `log_q(items) -> [B]`. batch has "item" too."""

    crosses_rows = True

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        items = batch["item"]
        scores = model.user(batch) @ model.item(items).T / model.temperature
        return {"in_batch": Loss(in_batch(scores, items, model.log_q(items)), float(len(items)))}
