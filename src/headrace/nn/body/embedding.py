"""From tokens to vectors: ids, vectors in their place, and ids that stand beside them.

    x = E[ids], or the given vector where there is none or a slot is marked;   x + Σ_side E_side[ids_side]

Ids at a slot are looked up and left, so any valid one stands there. Cost O(T d).
"""

import torch
from torch import Tensor, nn

from headrace.contracts.errors import DataError
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.initialise import STD


class Embedding(nn.Module):
    def __init__(self, of: TransformerConfig):
        super().__init__()
        self.tokens: nn.Module | None = nn.Embedding(of.vocabulary, of.dim) if of.vocabulary else None
        self.side = nn.ModuleDict({name: nn.Embedding(size, of.dim) for name, size in of.side})
        for table in self.modules():
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=STD)

    def forward(self, inputs: Inputs) -> Tensor:
        """[B, T, d]."""
        x, vectors = self._tokens(inputs.ids), inputs.vectors
        if inputs.slots is not None:
            if x is None or vectors is None:
                raise DataError("Inputs with slots need ids and vectors: ids everywhere, vectors where a slot is marked.")
            x = torch.where(inputs.slots.unsqueeze(-1), vectors.to(x.dtype), x)
        elif x is not None and vectors is not None:
            raise DataError("Inputs have ids and vectors and no slots: mark in slots [B, T] which places take a vector.")
        x = vectors if x is None else x
        if x is None:
            raise DataError("Inputs have neither ids nor vectors.")
        if inputs.side.keys() != set(self.side):
            raise DataError(f"Inputs have side ids {sorted(inputs.side)}; this body has {sorted(self.side)}.")
        for name, table in self.side.items():
            x = x + table(inputs.side[name])
        return x

    def _tokens(self, ids: Tensor | None) -> Tensor | None:
        if ids is None:
            return None
        if self.tokens is None:
            raise DataError("Inputs have ids, and this body has no vocabulary: give vectors, or set `vocabulary`.")
        found: Tensor = self.tokens(ids)
        return found
