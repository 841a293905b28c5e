"""Cross-entropy over a vocabulary where there is a token to predict: the next one, or one that was hidden.

    loss = mean over positions with a target of  -log softmax(h · W)[target]

Shapes: batch ids [B, T], targets [B, T], -1 where there is nothing to predict; documents [B, T] where rows are packed of several
that are to be kept apart. W [V, d]: the model's output vectors. Cost: the model's pass and O(P V d) for P targets; the [P, V]
logits are never whole in memory (`softmax_of_products`).
Use it for causal language models and for masked ones alike: which it is, the batches say. Relation to `softmax.NextItem`: the
same loss where 0 is an ordinary token, for bodies that take `Inputs`.
"""

from collections.abc import Mapping
from typing import Any

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.nn.attention.attend import FULL
from headrace.nn.attention.masks import Documents, MaskSpec
from headrace.nn.body.call import Inputs
from headrace.objectives.softmax import softmax_of_products


class PredictedTokens:
    """model: a `Transformer`. balance: also give the experts' own loss, "balance", a mean over tokens; 0.01 is a usual weight."""

    def __init__(self, name: str = "next_token", *, balance: bool = False):
        self.name, self.balance = name, balance

    def counts(self, batch: Batch) -> Mapping[str, float]:
        counts = {self.name: float((batch["targets"] >= 0).sum())}
        return counts | {"balance": float(batch["ids"].numel())} if self.balance else counts

    def inputs(self, batch: Batch) -> Inputs:
        """What the model is called with."""
        return Inputs(ids=batch["ids"], mask=MaskSpec(Documents(batch["documents"])) if "documents" in batch else FULL)

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        ids, targets = batch["ids"], batch["targets"]
        hidden = model(self.inputs(batch))
        there = targets >= 0
        kept, target = hidden.last[there], targets[there]
        if getattr(model, "words", None) is not None:  # the vocabulary is shared out between processes
            mean = model.words.nll(kept, model.own_vectors(), target).sum() / max(len(target), 1)
        else:
            mean = softmax_of_products(kept, model.output_vectors(), target)
        losses = {self.name: Loss(mean, float(there.sum()))}
        return losses | {"balance": Loss(hidden.balance, float(ids.numel()))} if self.balance else losses
