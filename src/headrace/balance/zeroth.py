"""Products of m gradients with one direction, from the losses a little way along it: no gradient of a single loss is formed.

    h_i = (ℓ_i(θ) - ℓ_i(θ - δ d)) / δ  =  <∇ℓ_i, d> - δ d' ∇²ℓ_i d / 2 + ..,      δ = epsilon |θ| / |d|

With d = sum_j λ_j ∇ℓ_j in .grad this is the Gram matrix times λ, off by what grows with δ. Cost: one forward for all m, and a
copy of the parameters, which come back to the bit. reevaluate is at the same batch and dropout, or the difference is noise.
Paper: MARIGOLD, arXiv 2603.07389; the estimator is our reading.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from headrace.balance.oracles import Vector, refuse_sparse
from headrace.contracts.seams import Reevaluate


def products(parameters: Sequence[Tensor], before: Mapping[str, float], reevaluate: Reevaluate, *, epsilon: float) -> Vector:
    """h, in the order of before; parameters without .grad stand still. Zero where nothing has a gradient."""
    moving = [one for one in parameters if one.grad is not None]
    direction = [one.grad for one in moving if one.grad is not None]
    refuse_sparse(direction)
    length = float(get_total_norm(direction))
    if not length:
        return np.zeros(len(before))
    delta = epsilon * (float(get_total_norm([one.detach() for one in moving])) or 1.0) / length
    kept = [one.detach().clone() for one in moving]
    with torch.no_grad():
        torch._foreach_add_(moving, direction, alpha=-delta)
        after = reevaluate()
        torch._foreach_copy_(moving, kept)
    return np.array([(value - after[name]) / delta for name, value in before.items()])
