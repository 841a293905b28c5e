"""Attention over every key: torch's fused kernel, or the plain formula where the log-sum-exp is asked for.

    out = softmax(q kᵀ / √d + bias) v,   lse = log Σ exp(q kᵀ / √d + bias)

The fused kernel keeps no lse that all devices give back, so it is computed only when asked, at the cost of the scores in memory.
A query that may see no key gets zeros and lse -inf. Cost O(Tq Tk d) a head.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, causal: bool = False, dropout: float = 0.0) -> Tensor:
    """q [B, H, Tq, d], k and v [B, H, Tk, d]; mask: bool (True is seen) or a bias with -inf. causal: instead of a mask."""
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, dropout_p=dropout)


def plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """out [B, H, Tq, d] and lse [B, H, Tq], float32 or wider."""
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = (q @ k.transpose(-1, -2)).to(wide) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    lse = scores.logsumexp(-1)
    weights = (scores - lse.clamp(min=torch.finfo(wide).min).unsqueeze(-1)).exp()
    return (weights.to(v.dtype) @ v), lse


def merge(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Attention over all keys from that over each part of them, exactly: out = Σ w_p out_p, w = softmax over parts of lse_p."""
    outs, lses = zip(*parts, strict=True)
    each = torch.stack(lses)
    whole = each.logsumexp(0)
    weights = (each - whole.clamp(min=torch.finfo(whole.dtype).min)).exp()
    return (weights.unsqueeze(-1).to(outs[0].dtype) * torch.stack(outs)).sum(0), whole
