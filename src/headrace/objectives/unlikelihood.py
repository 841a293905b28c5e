"""Next-code cross-entropy where an item is to come, and unlikelihood where it is not: a bounded way to learn from what is wrong.

    to come        1/L · sum over levels l of  -log p(c_l | c_<l)
    not to come    1/L · sum over levels l of  -log(1 - p(c_l | c_<l)),    p at most 1 - 1e-6

To climb the cross-entropy of what is wrong has no end: the further it is pushed away, the harder it is pushed. This stops by
itself, since a code that is improbable already costs almost nothing. Both are means over the whole batch: each row counts alike.
Shapes: states [B, L, d]; codes [B, L]; vectors: L tensors [sizes[l], d]. Cost as `codes`, O(B d sum of sizes).
Papers: Welleck et al., ICLR 2020 (unlikelihood), section 4; in place of the ascent of Paischer et al., arXiv 2412.08604.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import Loss, Services
from headrace.objectives.codes import next_code
from headrace.objectives.reduction import masked_mean

_SURE = -1e-6


def unlikelihood(states: Tensor, vectors: Sequence[Tensor], codes: Tensor, mask: Tensor | None = None) -> Tensor:
    """mask [B] or None. 0 where no row is left."""
    if mask is not None:
        states, codes = states[mask], codes[mask]
    found = []
    for state, own, code in zip(states.unbind(1), vectors, codes.unbind(1), strict=True):
        log_p = torch.log_softmax(state @ own.T, -1).gather(1, code.unsqueeze(1)).squeeze(1)
        found.append(-torch.log(-torch.expm1(log_p.clamp(max=_SURE))))
    return masked_mean(torch.stack(found, 1))


class NextCodeOrNot:
    """model: `states_and_codes(batch) -> [B, L, d], [B, L]` and `writer.vectors(level)`. batch: "item" [B], "sign" [B], which is
    -1 where the item is not to come."""

    def counts(self, batch: Batch) -> Mapping[str, float]:
        rows = float(len(batch["item"]))
        return {"next_code": rows, "not_code": rows}

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]:
        states, codes = model.states_and_codes(batch)
        vectors = [model.writer.vectors(level) for level in range(model.writer.levels)]
        to_come, rows = batch["sign"] > 0, float(len(codes))
        share = to_come.float().mean()
        return {
            "next_code": Loss(next_code(states, vectors, codes, to_come) * share, rows),
            "not_code": Loss(unlikelihood(states, vectors, codes, ~to_come) * (1 - share), rows),
        }
