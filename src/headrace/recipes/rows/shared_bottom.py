"""A shared bottom over a plain table: the body of the ranker `shared_bottom`, on one embedding a field.

    z = f(LayerNorm(one vector a field)),   logit_t = h_t(z)

As `flat_dcnv2` it presents itself as a scorer of lists with one candidate each, so that the objective of rankers with several
tasks trains it. All fields share one `nn.Embedding`, each with its own range of rows; code 0 is a field's unknown value.
Shapes: codes [B, F] -> logits [B, 1] a task. Cost O(F · dim · bottom[0]) a row.
Paper: Caruana, Machine Learning 28, 1997. Our reading: docs/papers/shared_bottom.md.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from headrace.contracts.batch import Batch
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.seams import Outputs, State
from headrace.methods.rank.shared_bottom import SharedBottomBody

_AT_ONCE = 16_384


class FlatSharedBottom(nn.Module):
    """sizes: codes of each field."""

    def __init__(self, sizes: Sequence[int], tasks: Sequence[str], *, dim: int, bottom: Sequence[int], hidden: Sequence[int]):
        super().__init__()
        self.register_buffer("first", torch.tensor([0, *np.cumsum(sizes)[:-1]]))
        self.embedding = nn.Embedding(sum(sizes), dim)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.norm = nn.LayerNorm(len(sizes) * dim)
        self.body = SharedBottomBody(len(sizes) * dim, tasks, bottom=bottom, hidden=hidden, dropout=0.0)

    def user(self, batch: Batch) -> State:
        return {"codes": batch["codes"]}

    def score(self, state: State, candidates: Batch) -> Outputs:
        x = self.norm(self.embedding(state["codes"] + self.get_buffer("first")).flatten(1))
        found = self.body(x.unsqueeze(1))
        return Outputs(found.logits, shared=found.shared)


@torch.no_grad()
def chances(model: FlatSharedBottom, codes: Int64) -> dict[str, Float64]:
    """[n, F] -> task -> [n]."""
    model.eval()
    parts = [model.score({"codes": part}, {}).logits for part in torch.split(torch.from_numpy(codes), _AT_ONCE)]
    return {task: torch.cat([part[task] for part in parts]).squeeze(1).double().sigmoid().numpy() for task in parts[0]}
