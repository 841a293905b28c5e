"""Next-code cross-entropy: each code of the next item against its level's other symbols, given the codes before it.

    loss = mean over kept rows of  1/L · sum over levels l of  -log softmax(h_l · E_l)[c_l]

E_l: the output vectors of level l alone, so a code of another level costs nothing and is never a rival.
Shapes: states [B, L, d]; codes [B, L] inside each level; mask [B] or None; vectors: L tensors [sizes[l], d].
Cost O(B d sum of sizes), against O(B N d) of a softmax over the catalogue: that is what codes buy.
Use it for generative retrieval. Relation to `softmax`: the same cross-entropy, a level at a time.
Paper: TIGER (arXiv 2305.05065), section 3.2; the mean over codes is T5's own (LIGER's code has it too).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.softmax import softmax_of_products


def next_code(states: Tensor, vectors: Sequence[Tensor], codes: Tensor, mask: Tensor | None = None) -> Tensor:
    if mask is not None:
        states, codes = states[mask], codes[mask]
    levels = zip(states.unbind(1), vectors, codes.unbind(1), strict=True)
    return torch.stack([softmax_of_products(state, own, code) for state, own, code in levels]).mean()


class NextCode:
    """model: `states_and_codes(batch) -> [B, L, d], [B, L]` and `writer.vectors(level)`. batch: "item" [B]: each row's target."""

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {"next_code": float(len(batch["item"]))}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        states, codes = model.states_and_codes(batch)
        vectors = [model.writer.vectors(level) for level in range(model.writer.levels)]
        return {"next_code": Loss(next_code(states, vectors, codes), float(len(codes)))}


class NextCodes:
    """Every item of a window but the first, each from all before it, in one pass of a decoder alone.

    model: `states_and_codes(batch) -> [P, L, d], [P, L]` of the P targets that are there, and `vectors()`, a level's output
    vectors each. batch: "targets" [B, T], 0 where there is none.
    """

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {"next_code": float((batch["targets"] > 0).sum())}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        states, codes = model.states_and_codes(batch)
        return {"next_code": Loss(next_code(states, model.vectors(), codes), float(len(codes)))}


class NextCodeAndVector:
    """Two losses over one pass of the encoder: the next item's codes, and its vector among those of all items trained on.

    "next_vector" is the full softmax of query · key, both scaled by the model. model: `read(batch) -> memory, there`;
    `written(batch, memory, there) -> [B, L, d], [B, L]` and `writer.vectors(level)`; `compared(batch, memory, there) ->
    queries [B, d], keys [N, d], each row's key [B]`. Cost O(B N d) beside the codes'. Paper: LIGER (arXiv 2411.18814), 4.
    """

    def __init__(self, *, codes: bool = True, vector: bool = True):
        self.codes, self.vector = codes, vector

    def counts(self, batch: Batch) -> Mapping[str, float]:
        asked = {"next_code": self.codes, "next_vector": self.vector}
        return {name: float(len(batch["item"])) for name, wanted in asked.items() if wanted}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        memory, there = model.read(batch)
        found, rows = {}, float(len(batch["item"]))
        if self.codes:
            states, codes = model.written(batch, memory, there)
            vectors = [model.writer.vectors(level) for level in range(model.writer.levels)]
            found["next_code"] = Loss(next_code(states, vectors, codes), rows)
        if self.vector:
            found["next_vector"] = Loss(softmax_of_products(*model.compared(batch, memory, there)), rows)
        return found
