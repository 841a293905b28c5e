"""Events to agents by how near they are in a frozen space: what each agent then holds is a mean of events' vectors.

    soft    alpha_at = softmax over t of (-||p_a - z_t||² / tau + log votes_t),      out_a = sum_t alpha_at v_t
    hard    out_a = mean of the events for which a is the nearest agent; an agent's own leaf is always its own

p, z depend on nothing that is learned, so alpha can be made ahead, without the candidate, and gradients flow to v alone.
An entry may be one event (votes 1) or the mean of several that stand at one place (votes n): the result is the same.
Shapes: p [R, M, d], z [R, G, d], votes [R, G], v [R, G, D] -> [R, M, D], zeros where no agent is or nothing was routed to it.
Cost O(M G (d + D)) a row. In float32 a sum of a hundred thousand events is off by some 1e-3; one of leaves' means is not.
Paper: HiSAC (arXiv 2602.21009), soft-routing attention. Our reading: docs/papers/hisac.md.
"""

import torch
from torch import Tensor


def squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """[.., M, d], [.., G, d] -> [.., M, G]."""
    lengths = one.square().sum(-1).unsqueeze(-1) + other.square().sum(-1).unsqueeze(-2)
    return (lengths - 2 * one @ other.transpose(-2, -1)).clamp(min=0)


def soft_routed(distances: Tensor, tau: Tensor, votes: Tensor, there: Tensor, values: Tensor) -> Tensor:
    """distances [R, M, G], there [R, M]."""
    heard = (votes > 0).unsqueeze(1)
    logits = votes.clamp(min=1).to(distances.dtype).log().unsqueeze(1) - distances / tau
    weights = logits.masked_fill(~heard, torch.finfo(logits.dtype).min).softmax(-1)
    return (weights * (heard & there.unsqueeze(-1))) @ values


def hard_routed(distances: Tensor, own: Tensor, votes: Tensor, there: Tensor, values: Tensor) -> Tensor:
    """own [R, M, G]: the entry is of the agent's own leaf."""
    near = distances.masked_fill(own, -1.0).masked_fill(~there.unsqueeze(-1), torch.inf)
    agents = torch.arange(distances.shape[1], device=distances.device).view(1, -1, 1)
    weights = (near.argmin(1, keepdim=True) == agents) * (votes.unsqueeze(1) * there.unsqueeze(-1)).to(values.dtype)
    return weights @ values / weights.sum(-1, keepdim=True).clamp(min=1)
