"""Cross-entropy of the next token where it is marked as one to learn, of a model that takes packed rows.

    loss = mean over marked tokens of  -log p(token | its own example's tokens before)

Shapes: batch ids, targets, positions, documents [B, T]; targets are below 0 where there is nothing to learn (`data.packed_rows`).
model(ids, positions, documents, wanted) -> logits [N, V] at the N places where wanted [B, T] is true, row by row.
Cost: the model's pass; [N, V] logits are held whole, which is little where a few words of each example are learned.
Use it for models whose head is their own (`llm.lora`). Relation to `tokens.PredictedTokens`: the same loss for our bodies, whose
logits are never whole in memory.
"""

from collections.abc import Mapping
from typing import Any

from torch.nn.functional import cross_entropy

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services


class SpokenTokens:
    def __init__(self, name: str = "next_token"):
        self.name = name

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {self.name: float((batch["targets"] >= 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        wanted = batch["targets"] >= 0
        logits = model(batch["ids"], batch["positions"], batch["documents"], wanted)
        target = batch["targets"][wanted]
        total = cross_entropy(logits.float(), target, reduction="sum")
        return {self.name: Loss(total / max(len(target), 1), float(len(target)))}
